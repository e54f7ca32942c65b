/** The lag of the pipeline, partition by partition. */
import type { FeedLag, FeedMonitor } from '@eventflow/core'
import { type Db, type PartitionBacklog, readBacklog, readOwnership } from '@eventflow/db'

export interface PartitionLag {
  partition: number
  /** The worker that holds a valid lease; `null` if there is none. */
  owner: string | null
  /** Rises with every change of owner. */
  epoch: number
  /** The source of its events: Postgres if the stream may lack events or Redis is away. */
  source: 'stream' | 'postgres'
  /** Entries in the stream; `null` if Redis is away. */
  depth: number | null
  /** Entries that are delivered and not acknowledged; `null` if Redis is away. */
  pending: number | null
  /** Accepted, not settled, and not in `retries`, as counted by Postgres; above a thousand it is an estimate. */
  unsettled: number
  /** In `retries`: events that await another attempt, or their first attempt of a replay. */
  retrying: number
  /**
   * Events not yet delivered to a worker, estimated from the share of undelivered entries; without the stream,
   * `unsettled`.
   */
  lag: number
  /** How long the first of these has been waiting, in seconds; 0 if there is none. */
  lagSeconds: number
  /** Seconds since the oldest unsettled event was accepted or replayed; 0 if there is none. */
  oldestUnsettledAgeSeconds: number
}

export interface PipelineLag {
  /** RFC 3339. */
  at: string
  partitions: PartitionLag[]
  /** For all partitions together: sums and the oldest. */
  unsettled: number
  retrying: number
  lag: number
  lagSeconds: number
  oldestUnsettledAgeSeconds: number
  /** The ids of the living workers, sorted. */
  workers: string[]
  /** Why Redis could not be read; `null` if it could. */
  redisError: string | null
}

/**
 * Reads the lag. While the feed is away, everything comes from Postgres. Takes a few milliseconds, however large the
 * tables are. Rejects when Postgres is away.
 */
export async function readLag(db: Db, feed: FeedMonitor): Promise<PipelineLag> {
  const [backlog, ownership] = await Promise.all([readBacklog(db), readOwnership(db)])
  const streams = await feed.lag(backlog.length).catch((error: Error) => error)
  const partitions = backlog.map((partition, i): PartitionLag => {
    const { owner, free } = ownership.partitions[i]!
    return lagOf(partition, free ? null : owner, streams instanceof Error ? undefined : streams)
  })
  const sum = (of: (partition: PartitionLag) => number) =>
    partitions.reduce((total, partition) => total + of(partition), 0)
  const most = (of: (partition: PartitionLag) => number) => Math.max(0, ...partitions.map(of))
  return {
    at: new Date().toISOString(),
    partitions,
    unsettled: sum(({ unsettled }) => unsettled),
    retrying: sum(({ retrying }) => retrying),
    lag: sum(({ lag }) => lag),
    lagSeconds: most(({ lagSeconds }) => lagSeconds),
    oldestUnsettledAgeSeconds: most(({ oldestUnsettledAgeSeconds }) => oldestUnsettledAgeSeconds),
    workers: ownership.workers,
    redisError: streams instanceof Error ? streams.message : null,
  }
}

function lagOf(backlog: PartitionBacklog, owner: string | null, streams: FeedLag | undefined): PartitionLag {
  const { partition, epoch, dirty, feedIdentity, unsettled, retrying, oldestAgeSeconds } = backlog
  const stream = streams?.partitions[partition]
  const inUse = stream?.exists && dirty === 0 && feedIdentity !== null && feedIdentity === streams?.identity
  const known = { partition, owner, epoch, unsettled, retrying, oldestUnsettledAgeSeconds: oldestAgeSeconds }
  const depth = stream?.length ?? null
  const pending = stream?.pending ?? null
  if (!stream || !inUse) {
    return {
      ...known,
      source: 'postgres',
      depth,
      pending,
      lag: unsettled,
      lagSeconds: unsettled > 0 ? oldestAgeSeconds : 0,
    }
  }
  // Acknowledged entries are deleted, so every entry that is not pending was never delivered. An entry has one or more
  // events.
  const waiting = Math.max(0, stream.length - stream.pending)
  const lag = waiting === 0 ? 0 : Math.max(waiting, Math.round((unsettled * waiting) / stream.length))
  return { ...known, source: 'stream', depth, pending, lag, lagSeconds: stream.waitingSeconds }
}
