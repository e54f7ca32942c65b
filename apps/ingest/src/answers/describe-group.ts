/** Converts consumer groups, their resets and their dead letters to the form of the API. */
import {
  type GroupDeadLetterExtent,
  type GroupPartition,
  type GroupRow,
  OPERATOR_TENANT,
  type ResetStep,
  type WholeGroupState,
} from '@eventflow/db'
import { describeDeadLetter, describeSample } from './describe-dead-letter.js'
import { describeWatermark } from './describe-stateful.js'

/** Positions count the events of all tenants: only the operator's tenant sees them. */
const seesPositions = (tenantId: string) => tenantId === OPERATOR_TENANT

/** A group in a list, with the sums of its partitions. */
export function describeGroup(group: WholeGroupState) {
  const { name, kind, version, generation, types, partitions, createdAt } = group
  const { pausedFor: reason, pausedBy: by, pausedAt: at } = group
  const sum = (of: (partition: GroupPartition) => number) => partitions.reduce((total, one) => total + of(one), 0)
  return {
    ...{ name, kind, version, generation, types },
    created_at: createdAt,
    paused: reason === null ? null : { reason, by, at },
    reset: describeReset(group),
    owners: [...new Set(partitions.flatMap(({ owner }) => owner ?? []))].sort(),
    lag: {
      events: sum(({ lag }) => lag.events),
      more: partitions.some(({ lag }) => lag.more),
      seconds: Math.max(0, ...partitions.map(({ lag }) => lag.ageSeconds)),
    },
    parked: sum(({ parked }) => parked),
    dead_letters: sum(({ deadLetters }) => deadLetters),
    ...(group.state && { state: describeState(group) }),
  }
}

/** What a window or a join holds of all tenants. */
function describeState({ kind, state, built }: WholeGroupState) {
  const { openWindows: open_windows, results, waiting, lateEvents, lagSeconds, lagging } = state!
  return {
    ...(kind === 'window' ? { open_windows, results } : { waiting }),
    late_events: lateEvents,
    watermark: describeWatermark(state!),
    watermark_lag_seconds: lagSeconds,
    lagging: lagging && { partition: lagging.partition, tenant: lagging.tenantId },
    building: built && { generation: built.generation, done: built.share },
  }
}

/** A group with its partitions, as its tenant sees it. */
export function describeWholeGroup(group: WholeGroupState) {
  const { state } = group
  const watermarks = new Map(state?.watermarks.map(({ partition, ...watermark }) => [partition, watermark]))
  return {
    ...describeGroup(group),
    partitions: group.partitions.map(({ partition, owner, lag, parked, deadLetters, position, last, low }) => ({
      ...{ partition, owner, parked },
      lag: { events: lag.events, more: lag.more, seconds: lag.ageSeconds },
      dead_letters: deadLetters,
      ...(state && { watermark: watermarks.get(partition) ?? null }),
      ...(seesPositions(group.tenantId) && { position, last, low }),
    })),
  }
}

/** The reset that waits, or the last one if it failed. */
function describeReset({ resetTo, resetBy, resetAt, resetError }: GroupRow) {
  if (resetTo === null && resetError === null) return null
  return {
    status: resetTo === null ? 'failed' : 'pending',
    ...(resetTo && { to: resetTo.to }),
    requested_by: resetBy,
    requested_at: resetAt,
    ...(resetError !== null && { error: resetError }),
  }
}

/** What a reset would do to a group of this tenant. */
export function describeResetSteps(tenantId: string, steps: readonly ResetStep[]) {
  const partitions = steps.map(({ partition, from, to, events: { events, more } }) => ({
    partition,
    ...(seesPositions(tenantId) && { from, to }),
    again: to < from ? events : 0,
    skipped: to > from ? events : 0,
    more,
  }))
  const sum = (of: 'again' | 'skipped') => partitions.reduce((total, one) => total + one[of], 0)
  return { again: sum('again'), skipped: sum('skipped'), more: partitions.some(({ more }) => more), partitions }
}

// biome-ignore lint/suspicious/noExplicitAny: a row of `group_dead_letters`.
type DeadLetterRow = Record<string, any>

/** A dead letter in a list. Of an event of another tenant it says only which kind of failure it is. */
export function describeGroupDeadLetter(tenantId: string, row: DeadLetterRow) {
  const letter = describeDeadLetter(row)
  if (row.tenant_id === tenantId) return letter
  const { type, status, attempts, accepted_at, failed_at, failure } = letter
  const { failure_type, error_class, component } = failure
  return {
    ...{ tenant: row.tenant_id, type, status, attempts, accepted_at, failed_at },
    failure: { failure_type, error_class, component },
  }
}

/** What a replay or a discard would change, with the events of this tenant among the samples. */
export function describeGroupExtent(tenantId: string, { samples, ...extent }: GroupDeadLetterExtent) {
  const own = samples.filter((row) => row.tenant_id === tenantId)
  // biome-ignore lint/suspicious/noExplicitAny: a row has the fields of a sample.
  return { ...extent, samples: own.map((row) => describeSample(row as any)) }
}
