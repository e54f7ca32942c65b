/**
 * Ticks: a window closes although no event follows, once it is proven that none is missing. Each second the worker looks
 * whether events are accepted, and whether a window or a join waits for a tick. Without any, that is all.
 *
 * A stop writes nothing.
 */
import type { Micros } from '@eventflow/core'
import {
  type Db,
  findAllSettled,
  findAwaitedTicks,
  findBrokenLeases,
  type Pulse,
  readFinalTime,
  readPulse,
  type SeenPartition,
  withTransaction,
  writeTicks,
} from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'
import type { PartitionView } from '../partition/partition-view.js'

const EVERY_MS = 1_000

/** After a longer time without a look, something may have happened unseen. */
const BREAK: Micros = 3_000_000n

/** A partition as the worker has seen it: in which epoch, and since when without a break. */
interface Seen {
  epoch: number
  since: Micros
}

/** What a worker has seen of its partitions, and when it has looked last. */
export interface Sight {
  lookedAt: Micros | undefined
  partitions: ReadonlyMap<number, Seen>
}

/** The sight of a worker that has seen nothing. */
export const NO_SIGHT: Sight = { lookedAt: undefined, partitions: new Map() }

type View = Pick<PartitionView, 'partition' | 'epoch' | 'source'>

/** Returns the sight after one more look. A break, or a look that sees nothing accepted, begins it anew. */
export function lookAgain(sight: Sight, { at, accepting }: Omit<Pulse, 'wanted'>, owned: readonly View[]): Sight {
  if (!accepting) return NO_SIGHT
  const isBreak = sight.lookedAt === undefined || at - sight.lookedAt > BREAK || at < sight.lookedAt
  const partitions = new Map<number, Seen>()
  for (const { partition, epoch, source } of owned) {
    if (source === 'new' || source === 'retries') continue
    const before = isBreak ? undefined : sight.partitions.get(partition)
    partitions.set(partition, before?.epoch === epoch ? before : { epoch, since: at })
  }
  return { lookedAt: at, partitions }
}

export interface TickDeps {
  db: Db
  log: Logger
  /** The partitions that the worker owns. */
  owned: () => readonly View[]
  /** Called when ticks were written: the log has new entries. */
  onWritten: () => void
}

/** Writes ticks until stopped. Errors of Postgres are logged, and the next look comes after a second. */
export function startTicks({ db, log, owned, onWritten }: TickDeps): { stop(): Promise<void> } {
  let sight = NO_SIGHT

  async function look(stopping: AbortSignal): Promise<void> {
    // Read before the pulse: a partition that was taken meanwhile counts from the next look on.
    const views = owned()
    if (views.length === 0) return
    const pulse = await readPulse(db)
    sight = lookAgain(sight, pulse, views)
    if (pulse.wanted && sight.partitions.size > 0) await tick(sight.partitions, stopping)
  }

  async function tick(seen: ReadonlyMap<number, Seen>, stopping: AbortSignal): Promise<void> {
    const at = await readFinalTime(db)
    if (at === undefined) return
    const partitions = [...seen].map(([partition, { since }]): SeenPartition => ({ partition, seenSince: since }))
    const awaited = await findAwaitedTicks(db, partitions, at)
    if (awaited.length === 0) return
    const settled = await findAllSettled(db, awaited, at)
    if (settled.length === 0 || stopping.aborted) return
    const ids = new Set(settled.map(({ partition }) => partition))
    // That all is settled was read from Postgres, so it does not matter what the stream lacks.
    const leases = [...ids].map((partition) => ({ partition, epoch: seen.get(partition)!.epoch, dirty: null }))
    await withTransaction(db, async (tx) => {
      const lost = new Set((await findBrokenLeases(tx, leases)).map(({ partition }) => partition))
      const proven = settled.filter(({ partition }) => !lost.has(partition))
      const ticks = proven.map((pair) => ({ ...pair, at, seenSince: seen.get(pair.partition)!.since }))
      if (ticks.length > 0) await writeTicks(tx, ticks)
    })
    onWritten()
  }

  return repeat(look, {
    pauseMs: EVERY_MS,
    onError: (err) => log.warn({ err }, 'looking for windows that close without later events failed'),
  })
}
