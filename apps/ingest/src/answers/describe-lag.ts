/** Converts the lag of the pipeline to the form of `/metrics/summary`. */
import type { PipelineLag } from '@eventflow/monitor'

export function describeLag(lag: PipelineLag) {
  const { partitions } = lag
  const sum = (of: 'depth' | 'pending') => partitions.reduce((total, partition) => total + (partition[of] ?? 0), 0)
  return {
    at: lag.at,
    unsettled: lag.unsettled,
    retrying: lag.retrying,
    lag: lag.lag,
    lag_seconds: lag.lagSeconds,
    oldest_unsettled_age_seconds: lag.oldestUnsettledAgeSeconds,
    ...(lag.redisError === null && { streams: { length: sum('depth'), pending: sum('pending') } }),
    workers: lag.workers.map((worker) => ({
      worker,
      partitions: partitions.filter(({ owner }) => owner === worker).map(({ partition }) => partition),
    })),
    partitions: partitions.map((partition) => ({
      partition: partition.partition,
      owner: partition.owner,
      epoch: partition.epoch,
      source: partition.source,
      depth: partition.depth,
      pending: partition.pending,
      unsettled: partition.unsettled,
      retrying: partition.retrying,
      lag: partition.lag,
      lag_seconds: partition.lagSeconds,
      oldest_unsettled_age_seconds: partition.oldestUnsettledAgeSeconds,
    })),
  }
}
