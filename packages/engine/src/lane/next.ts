/** What a lane takes next: retries that are due, unsettled events from Postgres, entries of its feed. */
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

/** How long Postgres is left alone after it gave all it had, in milliseconds. */
const POLL_MS = 100

export interface NextDeps extends TakeOverDeps {
  tracing?: Tracing | undefined
}

/** The next deliveries; waits for the first, but no longer than until something else is due. */
export type Next = () => Promise<Delivery[]>

export function createNext(
  deps: NextDeps,
  state: LaneState,
  { reader, takeOver, work }: { reader: Reader; takeOver: TakeOver; work: Work },
): Next {
  const { feed, log, tracing } = deps
  const { partitions, hasRoom } = state
  let lookAtPostgresAt = 0
  /** The feed refused to create a partition: it is not asked again before. */
  let aimAt = 0
  const inSource = <Source extends Partition['state']['source']>(source: Source) =>
    partitionsIn(partitions.values(), source)

  async function next(): Promise<Delivery[]> {
    // Events that are due may be blocked again, and still count as waiting.
    const roomy = new Set([...partitions.values()].filter(hasRoom))
    const due = hands().flatMap(({ keys }) => keys.takeDue(performance.now()))
    const ready = await catchUp(due, roomy)
    // The lane is asked for something else, such as to stop: it takes nothing more before it has looked.
    if (state.alarm.isRinging()) return ready
    const waitMs = ready.length > 0 ? 0 : Math.max(1, Math.ceil(nextAt() - performance.now()))
    const streaming = inSource('stream').filter((partition) => roomy.has(partition))
    if (streaming.length > 0) return [...ready, ...(await readFeed(streaming, waitMs))]
    if (waitMs > 0) await state.alarm.sleep(waitMs)
    return ready
  }

  const hands = () =>
    [...partitions.values()].flatMap((partition) => (partition.state.source === 'new' ? [] : partition.state.hand))

  /** When there is something to do that no entry announces, on the monotonic clock; soon enough to notice all else. */
  function nextAt(): number {
    const due = Math.min(...hands().map(({ keys }) => keys.nextDue()))
    const atMost = performance.now() + NOTICE_MS
    return Math.min(due, atMost, inSource('postgres').some(hasRoom) ? lookAtPostgresAt : atMost)
  }

  /**
   * Adds the next events of partitions in *postgres* to those that are ready; partitions that have reached their
   * targets join their feeds.
   */
  async function catchUp(ready: Delivery[], roomy: ReadonlySet<Partition>): Promise<Delivery[]> {
    const behind = inSource('postgres').filter((partition) => roomy.has(partition))
    if (behind.length === 0 || performance.now() < lookAtPostgresAt) return ready
    const reading = await aim(behind)
    const { deliveries, reached, more } = await takeUpNext(reading, state.arrivals.severalTenants, deps)
    if (!more) lookAtPostgresAt = performance.now() + POLL_MS
    if (reached.length === 0) return [...ready, ...deliveries]
    // A partition that joins its feed must have settled, or hold, all earlier events.
    await work([...ready, ...deliveries])
    for (const partition of reached) await join(partition)
    return []
  }

  /** Sets the targets that are missing. Gives the partitions that are still to be read from Postgres. */
  async function aim(behind: readonly PartitionIn<'postgres'>[]): Promise<PartitionIn<'postgres'>[]> {
    if (!feed.isReady() || performance.now() < aimAt) return [...behind]
    for (const partition of behind) {
      if (partition.state.target || (await aimForFeed(partition, deps))) continue
      aimAt = performance.now() + NOTICE_MS
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
