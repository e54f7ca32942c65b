/** The gauges of the whole pipeline, which every ingest process exports. */
import type { FeedMonitor } from '@eventflow/core'
import type { Db, GroupState, Standby, StatefulGroup } from '@eventflow/db'
import { type PipelineLag, readDependencies, type Stock, shared, within } from '@eventflow/monitor'
import type { IngestMetrics } from '@eventflow/runtime'

/** How long a scrape waits for these values, in milliseconds. Later values appear in the next scrape. */
const PATIENCE_MS = 2_000

export interface PipelineGaugesDeps {
  db: Db
  feed: FeedMonitor
  lag: () => Promise<PipelineLag>
  stock: () => Promise<Stock>
  /** The consumer groups that are defined in code. */
  groups: () => Promise<GroupState[]>
  /** The windows and joins, with what they hold. */
  stateful: () => Promise<StatefulGroup[]>
  standby: Standby | undefined
  metrics: IngestMetrics
  /** The disk space of the database; 0 if not configured. */
  capacityBytes: number
}

/** Returns a function that updates the gauges. It never rejects: values that cannot be read are not exported. */
export function createPipelineGauges(deps: PipelineGaugesDeps): () => Promise<void> {
  const { db, feed, lag, stock, groups, stateful, standby, metrics, capacityBytes } = deps
  if (capacityBytes > 0) metrics.postgresCapacity.set(capacityBytes)
  else metrics.postgresCapacity.remove()
  if (!standby) for (const gauge of [metrics.standbyLag, metrics.standbyUsed]) gauge.remove()
  return shared(async () => {
    const [lagNow, stockNow, groupsNow, statefulNow, dependencies] = await Promise.all([
      within(PATIENCE_MS, lag()),
      within(PATIENCE_MS, stock()),
      within(PATIENCE_MS, groups()),
      within(PATIENCE_MS, stateful()),
      readDependencies(db, feed),
    ])
    showLag(lagNow, metrics)
    showStock(stockNow, metrics)
    showGroups(groupsNow ?? [], metrics)
    showStateful(statefulNow ?? [], metrics)
    if (standby) {
      metrics.standbyLag.set(standby.lagSeconds())
      metrics.standbyUsed.set(standby.isUsed() ? 1 : 0)
    }
    metrics.dependencyUp.set({ dependency: 'postgres' }, dependencies.postgres ? 1 : 0)
    metrics.dependencyUp.set({ dependency: 'redis' }, dependencies.redis ? 1 : 0)
  })
}

function showLag(lag: PipelineLag | undefined, metrics: IngestMetrics): void {
  const { queueDepth, pending, consumerLag, consumerLagSeconds, partitionOwner, partitionEpoch } = metrics
  for (const gauge of [queueDepth, pending, consumerLag, consumerLagSeconds, partitionOwner, partitionEpoch])
    gauge.reset()
  if (!lag) {
    for (const gauge of [metrics.oldestUnsettledAge, metrics.retryingEvents, metrics.workers]) gauge.remove()
    return
  }
  metrics.oldestUnsettledAge.set(lag.oldestUnsettledAgeSeconds)
  metrics.retryingEvents.set(lag.retrying)
  metrics.workers.set(lag.workers.length)
  for (const of of lag.partitions) {
    const partition = `${of.partition}`
    if (of.depth !== null) queueDepth.set({ partition }, of.depth)
    if (of.pending !== null) pending.set({ partition }, of.pending)
    consumerLag.set({ partition }, of.lag)
    consumerLagSeconds.set({ partition }, of.lagSeconds)
    if (of.owner !== null) partitionOwner.set({ partition, worker_id: of.owner }, 1)
    partitionEpoch.set({ partition }, of.epoch)
  }
}

function showStock(
  stock: Stock | undefined,
  { types, typeOf, deadLettersOpen, postgresSize, partsAhead }: IngestMetrics,
): void {
  deadLettersOpen.reset()
  if (!stock) {
    postgresSize.remove()
    partsAhead.remove()
    return
  }
  if (stock.partsAhead === undefined) partsAhead.remove()
  else partsAhead.set(stock.partsAhead)
  postgresSize.set(stock.postgresBytes)
  for (const type of types) deadLettersOpen.set({ type }, 0)
  for (const [type, count] of stock.deadLetters) deadLettersOpen.inc({ type: typeOf(type) }, count)
}

function showGroups(groups: readonly GroupState[], metrics: IngestMetrics): void {
  const { groupLag, groupLagSeconds, groupParked, groupDeadLetters, groupPaused, groupUnowned } = metrics
  for (const gauge of [groupLag, groupLagSeconds, groupParked, groupDeadLetters, groupPaused, groupUnowned])
    gauge.reset()
  for (const { name: group, pausedFor, partitions } of groups) {
    const sum = (of: (partition: GroupState['partitions'][0]) => number) =>
      partitions.reduce((total, partition) => total + of(partition), 0)
    groupLag.set(
      { group },
      sum(({ lag }) => lag.events),
    )
    groupLagSeconds.set({ group }, Math.max(0, ...partitions.map(({ lag }) => lag.ageSeconds)))
    groupParked.set(
      { group },
      sum(({ parked }) => parked),
    )
    groupDeadLetters.set(
      { group },
      sum(({ deadLetters }) => deadLetters),
    )
    groupPaused.set({ group }, pausedFor === null ? 0 : 1)
    groupUnowned.set({ group }, partitions.filter(({ owner }) => owner === null).length)
  }
}

function showStateful(groups: readonly StatefulGroup[], { windowOpen, watermarkLag, joinRows }: IngestMetrics): void {
  for (const gauge of [windowOpen, watermarkLag, joinRows]) gauge.reset()
  for (const { name: group, kind, state } of groups) {
    if (kind === 'window') windowOpen.set({ group }, state.openWindows)
    else joinRows.set({ group }, state.waiting)
    if (state.lagSeconds !== null) watermarkLag.set({ group }, state.lagSeconds)
  }
}
