/** Selects the next events of a lane: retries that are due, unsettled events from Postgres, entries of the feed. */
import type { Delivery } from '@eventflow/core'
import type { Tracing } from '@eventflow/runtime'
import { traceReceived } from '../batch/trace.js'
import { giveUpFarBehind, takeUpNext } from '../partition/catch-up.js'
import { aimForFeed, joinFeed } from '../partition/join.js'
import { type Partition, type PartitionIn, partitionsIn } from '../partition/partition.js'
import type { LaneState, Work } from './lane-state.js'
import type { Reader } from './read.js'
import type { TakeOver, TakeOverDeps } from './take-over.js'
import { NOTICE_MS } from './upkeep.js'

/** How long to wait before reading Postgres again after a read that found everything there was, in milliseconds. */
const POLL_MS = 100

export interface NextDeps extends TakeOverDeps {
  tracing?: Tracing | undefined
}

/**
 * Resolves with the next deliveries. Waits for the first one, but not beyond the time when a retry, a read or a check
 * is due.
 */
export type Next = () => Promise<Delivery[]>

/** Creates the function that selects the next events. It rejects when Postgres or the feed fails. */
export function createNext(
  deps: NextDeps,
  state: LaneState,
  { reader, takeOver, work }: { reader: Reader; takeOver: TakeOver; work: Work },
): Next {
  const { feed, log, tracing } = deps
  const { partitions, hasRoom } = state
  let readPostgresAt = 0
  /** After the feed refused to create a partition, it is not asked again before this time. */
  let aimAgainAt = 0
  const inSource = <Source extends Partition['state']['source']>(source: Source) =>
    partitionsIn(partitions.values(), source)

  async function next(): Promise<Delivery[]> {
    // Determined before `takeDue`: events that are due may be blocked again, so they still count against the limit.
    const withRoom = new Set([...partitions.values()].filter(hasRoom))
    const due = memories().flatMap(({ keys }) => keys.takeDue(performance.now()))
    const ready = await catchUp(due, withRoom)
    // The lane is asked for something else, such as to stop: it takes nothing more before it has looked.
    if (state.alarm.isRinging()) return ready
    const waitMs = ready.length > 0 ? 0 : Math.max(1, Math.ceil(nextAt() - performance.now()))
    const streaming = inSource('stream').filter((partition) => withRoom.has(partition))
    if (streaming.length > 0) return [...ready, ...(await readFeed(streaming, waitMs))]
    if (waitMs > 0) await state.alarm.sleep(waitMs)
    return ready
  }

  const memories = () =>
    [...partitions.values()].flatMap((partition) => (partition.state.source === 'new' ? [] : partition.state.memory))

  /**
   * When the wait for entries must end, on the monotonic clock: when a retry or a read of Postgres is due, at the
   * latest after NOTICE_MS.
   */
  function nextAt(): number {
    const due = Math.min(...memories().map(({ keys }) => keys.nextDue()))
    const atMost = performance.now() + NOTICE_MS
    return Math.min(due, atMost, inSource('postgres').some(hasRoom) ? readPostgresAt : atMost)
  }

  /**
   * Adds the next events of partitions in *postgres* to the ready ones. Partitions that have reached their targets join
   * their feeds.
   */
  async function catchUp(ready: Delivery[], withRoom: ReadonlySet<Partition>): Promise<Delivery[]> {
    const behind = inSource('postgres').filter((partition) => withRoom.has(partition))
    if (behind.length === 0 || performance.now() < readPostgresAt) return ready
    const reading = await aim(behind)
    const { deliveries, reached, more } = await takeUpNext(reading, state.arrivals.severalTenants, deps)
    if (!more) readPostgresAt = performance.now() + POLL_MS
    if (reached.length === 0) return [...ready, ...deliveries]
    // Before a partition joins its feed, all earlier events must be settled or blocked in memory.
    await work([...ready, ...deliveries])
    for (const partition of reached) await join(partition)
    return []
  }

  /** Sets the missing targets. Returns the partitions that are still to be read from Postgres. */
  async function aim(behind: readonly PartitionIn<'postgres'>[]): Promise<PartitionIn<'postgres'>[]> {
    if (!feed.isReady() || performance.now() < aimAgainAt) return [...behind]
    for (const partition of behind) {
      if (partition.state.target || (await aimForFeed(partition, deps))) continue
      aimAgainAt = performance.now() + NOTICE_MS
    }
    return partitionsIn(behind, 'postgres')
  }

  async function join(partition: Partition): Promise<void> {
    if (partition.state.source !== 'postgres') return
    const { reason, caughtUp } = partition.state
    if (!(await joinFeed(partition as PartitionIn<'postgres'>, deps))) return
    if (caughtUp > 0) log.info({ partition: partition.id, reason, events: caughtUp }, 'caught up from Postgres')
    await takeOver.claim(partition as PartitionIn<'stream'>)
  }

  async function readFeed(streaming: readonly PartitionIn<'stream'>[], waitMs: number): Promise<Delivery[]> {
    const received = await reader.read(streaming, waitMs)
    const readAt = Date.now()
    const timely = giveUpFarBehind(received, partitions, state.arrivals)
    traceReceived(timely, readAt, tracing)
    return timely
  }

  return next
}
