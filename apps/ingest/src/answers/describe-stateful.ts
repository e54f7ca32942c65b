/** Converts windows, joins and what a tenant has in them to the form of the API. */
import { momentOf, type StateFigures, type StatefulGroup } from '@eventflow/db'

// biome-ignore lint/suspicious/noExplicitAny: a row of a table.
type Row = Record<string, any>

const secondsOf = (micros: number) => micros / 1e6

/** A window or a join, as every tenant sees it. */
function describeStateful({ name, version, types, state, ...group }: StatefulGroup) {
  return {
    ...{ name, version, types },
    out_of_orderness_seconds: secondsOf(group.outOfOrderness ?? 0),
    idle_seconds: group.idle === null ? null : secondsOf(group.idle),
    paused: group.pausedFor !== null,
    rebuilding: group.building !== null,
    late_events: state.lateEvents,
    watermark: describeWatermark(state),
  }
}

export function describeWindow(group: StatefulGroup) {
  const { openWindows: open_windows, results } = group.state
  return { ...describeStateful(group), open_windows, results }
}

export function describeJoin(group: StatefulGroup) {
  return { ...describeStateful(group), waiting: group.state.waiting }
}

/** The lowest and the highest watermark; `null` before the first event. */
export function describeWatermark({ watermarks }: Pick<StateFigures, 'watermarks'>) {
  if (watermarks.length === 0) return null
  return {
    min: watermarks.map(({ min }) => min).sort()[0]!,
    max: watermarks
      .map(({ max }) => max)
      .sort()
      .at(-1)!,
  }
}

export function describeResult({ key, start, end, partition, result, closed_at }: Row) {
  return { key, start: momentOf(start), end: momentOf(end), partition, closed_at, result }
}

export function describeOpenWindow({ key, start, end, closes_at, partition, size, state }: Row) {
  return {
    ...{ key, start: momentOf(start), end: momentOf(end), closes_at: momentOf(closes_at), partition },
    ...{ state_bytes: size, state },
  }
}

export function describeLateEvent({ event_id, type, key, partition, time, watermark, recorded_at }: Row) {
  return {
    ...{ id: event_id, type, partitionkey: key, partition, time: momentOf(time) },
    ...{ watermark: momentOf(watermark), recorded_at },
  }
}

export function describeJoinRow({ event_id, type, side, key, partition, time, expires, matched }: Row) {
  return {
    ...(event_id !== null && { id: event_id, type }),
    ...{ side, partitionkey: key, partition, time: momentOf(time), expires_at: momentOf(expires), matched },
  }
}
