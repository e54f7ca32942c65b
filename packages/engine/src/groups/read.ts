/** Reads the next events of a consumer group: parked ones that are due, then the log. */
import { type Delivery, identityOf, orderingKey } from '@eventflow/core'
import {
  beginCursors,
  type Db,
  forgetUnpublished,
  type Generation,
  type LogPage,
  markDirty,
  readDueParked,
  readLog,
  readParked,
} from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { BATCH, BATCH_BYTES } from '../batch/batch.js'
import type { CompiledConsumer } from './consumers.js'
import { deliveriesOf, type LogDelivery, parkedDelivery } from './delivery.js'
import { begun, type GroupPartition } from './group-partition.js'
import { addMarks, loadTimes } from './marked-pages.js'

export interface ReadDeps {
  /** The pool of the consumer groups. */
  db: Db
  consumer: CompiledConsumer
  log: Logger
  /** The most parked events of a partition in memory. Above it, the log of the partition is not read. */
  maxParked: number
  /** The most data of parked events in memory, in bytes, in all partitions of the group. */
  maxParkedBytes: number
}

export interface GroupReader {
  /** Begins the partitions that are *new*, except those that a former owner is still working on. */
  begin(generation: Generation): Promise<void>
  /** Resolves with the next events; or with why the group must pause, because entries were removed unread. */
  read(generation: Generation): Promise<{ deliveries: LogDelivery[]; lost?: string }>
  /** Blocks the keys of events that wait, in order. */
  block(blocked: readonly { delivery: LogDelivery; delayMs: number }[]): void
  /** The blocked keys, as `orderOf` gives them. */
  blockedKeys(): string[]
  orderOf(delivery: Delivery): string
  /** Milliseconds until the next parked event is due. */
  nextDueMs(): number
}

/** The most entries that are read at once, from all partitions: with many more, collecting the garbage takes longer. */
const READ = 2 * BATCH

/** The most parked events that are loaded at once. */
const PARKED_AT_ONCE = 250

/** How often the group looks for parked events that an operator has added, in milliseconds. */
const NOTICE_MS = 1_000

/** Creates the reader for the partitions of a lane. */
export function createGroupReader(partitions: ReadonlyMap<number, GroupPartition>, deps: ReadDeps): GroupReader {
  const { db, consumer, log, maxParked, maxParkedBytes } = deps
  const orderOf =
    consumer.order === 'none' ? ({ event }: Delivery) => identityOf(event) : ({ event }: Delivery) => orderingKey(event)
  let noticeAt = 0
  const all = () => [...partitions.values()]
  const inPhase = (phase: GroupPartition['phase']) => all().filter((partition) => partition.phase === phase)

  const hasRoom = ({ keys }: GroupPartition) =>
    keys.size() < maxParked && keys.bytes() < maxParkedBytes / Math.max(1, partitions.size)

  async function begin(generation: Generation): Promise<void> {
    const leases = inPhase('new').map(({ lease }) => lease)
    if (leases.length === 0) return
    const cursors = await beginCursors(db, generation, leases)
    // A former owner may have died before it published what it had emitted. A later event must not overtake that.
    const targets = [...new Set(cursors.flatMap(({ unpublished }) => unpublished))]
    if (targets.length > 0) await markDirty(db, targets)
    for (const cursor of cursors) begun(partitions.get(cursor.partition)!, { ...cursor, unpublished: [] })
    if (consumer.stateful) await loadTimes(db, generation, cursors, partitions)
    // Only for those: a transaction of ours whose answer was lost may still be about to record others.
    const ours = leases.filter(({ partition }) => cursors.some((cursor) => cursor.partition === partition))
    if (targets.length > 0) await forgetUnpublished(db, generation.groupId, ours)
  }

  async function read(generation: Generation): Promise<{ deliveries: LogDelivery[]; lost?: string }> {
    for (const partition of inPhase('parked')) await loadParked(partition, generation)
    await noticeParked(generation)
    // Determined before `takeDue`: events that are due may be parked again, so they still count against the limit.
    const withRoom = inPhase('log').filter(hasRoom)
    const due = all().flatMap(({ keys }) => keys.takeDue(performance.now())) as LogDelivery[]
    const places = withRoom.map(({ lease, read }) => ({ partition: lease.partition, after: read }))
    if (places.length === 0) return { deliveries: due }
    const limits = { limit: Math.ceil(READ / places.length), bytes: Math.ceil(BATCH_BYTES / places.length) }
    const pages = await readLog(db, places, { ...limits, types: consumer.events })
    const lost = withRoom.reduce((sum, { read }, i) => sum + Math.max(0, pages[i]!.low - read), 0)
    if (lost > 0 && consumer.onLostHistory !== 'skip') return { deliveries: [], lost: lossOf(lost) }
    if (lost > 0)
      log.warn(
        { group: consumer.name, lost },
        'entries of the log were removed before the group had read them; up to so many',
      )
    const marked = consumer.stateful ? await addMarks(db, withRoom, pages) : pages.map(pageOfEvents)
    withRoom.forEach((partition, i) => {
      partition.read = marked[i]!.reached
    })
    return { deliveries: [...due, ...marked.flatMap(({ deliveries }) => deliveries)] }
  }

  /** Loads parked events in the order of the log, as far as there is room. */
  async function loadParked(partition: GroupPartition, { groupId }: Generation): Promise<void> {
    while (hasRoom(partition)) {
      const place = { after: partition.loadedUpTo, limit: PARKED_AT_ONCE }
      const parked = await readParked(db, groupId, partition.lease.partition, place)
      for (const entry of parked) {
        // A suspect of a window or a join keeps its place in the log.
        if (consumer.stateful && entry.position > partition.saved)
          partition.state.suspectRows.set(entry.event.seq, entry)
        else partition.keys.block(parkedDelivery(entry), performance.now() + (entry.dueInMs ?? 0))
        partition.loadedUpTo = entry.position
      }
      if (parked.length === PARKED_AT_ONCE) continue
      partition.phase = 'log'
      return
    }
  }

  /** Looks for parked events that an operator has added. */
  async function noticeParked({ groupId }: Generation): Promise<void> {
    if (performance.now() < noticeAt) return
    const open = inPhase('log').filter(hasRoom)
    if (open.length === 0) return
    const held = open.flatMap(heldBy)
    const ids = open.map(({ lease }) => lease.partition)
    const due = await readDueParked(db, groupId, ids, { held, limit: PARKED_AT_ONCE })
    const now = performance.now()
    for (const entry of due) partitions.get(entry.event.partition)!.keys.block(parkedDelivery(entry), now)
    noticeAt = due.length === PARKED_AT_ONCE ? 0 : now + NOTICE_MS
  }

  return {
    begin,
    read,
    block(blocked) {
      const now = performance.now()
      for (const { delivery, delayMs } of blocked) {
        const waiting: LogDelivery = { ...delivery, cursor: 0, inRetries: true }
        partitions.get(delivery.event.partition)?.keys.block(waiting, now + delayMs)
      }
    },
    blockedKeys: () => all().flatMap(({ keys }) => keys.blocked()),
    orderOf,
    nextDueMs() {
      const at = Math.min(...all().map(({ keys }) => keys.nextDue()))
      return Math.max(1, Math.ceil(at - performance.now()))
    },
  }
}

/** The seqs of parked events that are in memory. */
const heldBy = ({ keys, state }: GroupPartition) => [
  ...keys.inRetries().map(({ seq }) => seq),
  ...state.suspectRows.keys(),
]

const pageOfEvents = (page: LogPage) => ({ deliveries: deliveriesOf(page), reached: page.reached })

const lossOf = (entries: number) =>
  `the log was removed up to a point that the group had not reached: up to ${entries} entries may be lost`
