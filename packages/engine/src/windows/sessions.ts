/** Session windows: each key has its own. */
import {
  type Aggregation,
  closesAt,
  type Payload,
  placeInSession,
  type SessionSpan,
  type SessionWindows,
} from '@eventflow/core'
import {
  deletePanes,
  type EventKey,
  type Generation,
  type PaneRow,
  type Passed,
  readDueEnds,
  readPanesOf,
  type Transaction,
  writePanes,
} from '@eventflow/db'
import type { LogDelivery } from '../groups/delivery.js'
import type { Applied, Met, Refused } from '../groups/stateful.js'
import { CLOSING, type Closing, closedOf } from './closing.js'
import { type Fold, foldEvents, refuse } from './fold.js'

/** A session as it becomes: of rows, and of events that are new. */
interface Session extends SessionSpan {
  /** The earliest first. */
  rows: PaneRow[]
  deliveries: LogDelivery[]
}

interface Sessions {
  windows: SessionWindows
  aggregation: Aggregation
}

/** Adds events to the sessions of their keys. */
export async function addToSessions(
  tx: Transaction,
  met: readonly Met[],
  generation: Generation,
  sessions: Sessions,
): Promise<Pick<Applied, 'late' | 'refused'>> {
  const byKey = new Map<string, { key: EventKey; met: Met[]; rows: PaneRow[] }>()
  for (const one of met) {
    const { partition, tenantId, key } = one.delivery.event
    const name = nameOf({ partition, tenantId, key })
    if (!byKey.has(name)) byKey.set(name, { key: { partition, tenantId, key }, met: [], rows: [] })
    byKey.get(name)!.met.push(one)
  }
  const keys = [...byKey.values()].map(({ key }) => key)
  for (const row of await readPanesOf(tx, generation, keys)) byKey.get(nameOf(row))!.rows.push(row)
  const changes = [...byKey.values()].map((key) => changesOf(key, sessions))
  const gone = changes.flatMap((change) => change.gone)
  const written = changes.flatMap((change) => change.written)
  await deletePanes(tx, generation, gone)
  await writePanes(tx, generation, written)
  return { late: changes.flatMap(({ late }) => late), refused: changes.flatMap(({ refused }) => refused) }
}

const nameOf = ({ partition, tenantId, key }: EventKey) => `${partition} ${tenantId} ${key}`

/** What the events of a key change. An event that is refused must not have made a session longer. */
function changesOf(
  { key, met, rows }: { key: EventKey; met: readonly Met[]; rows: readonly PaneRow[] },
  { windows, aggregation }: Sessions,
) {
  const refused: Refused[] = []
  for (let left = met; ; ) {
    const { sessions, late } = place(left, rows, windows)
    const changed = sessions.filter(({ deliveries }) => deliveries.length > 0)
    const folds = changed.map((session) => fold(session, aggregation))
    const failed = folds.flatMap((folded) => folded.refused)
    if (failed.length === 0) {
      const written = changed.map((session, i) => rowOf(key, session, folds[i]!.fold!, windows))
      const starts = new Set(written.map(({ start }) => start))
      const gone = changed.flatMap((session) => session.rows).filter(({ start }) => !starts.has(start))
      return { written, gone, late, refused }
    }
    refused.push(...failed)
    const out = new Set(failed.map(({ delivery }) => delivery))
    left = left.filter(({ delivery }) => !out.has(delivery))
  }
}

/** Finds the session of each event, one after another. */
function place(met: readonly Met[], rows: readonly PaneRow[], windows: SessionWindows) {
  let sessions = rows.map((row): Session => ({ first: row.start, last: row.end, rows: [row], deliveries: [] }))
  const late: Met[] = []
  for (const one of met) {
    const found = placeInSession(sessions, one.time, one.watermark, windows)
    if (!found) {
      late.push(one)
      continue
    }
    const { joined, first, last } = found
    const session: Session = {
      ...{ first, last },
      rows: joined.flatMap((other) => other.rows),
      deliveries: [...joined.flatMap((other) => other.deliveries), one.delivery],
    }
    sessions = [...sessions.filter((other) => !joined.includes(other)), session]
  }
  return { sessions, late }
}

function fold({ rows, deliveries }: Session, aggregation: Aggregation): { fold: Fold | undefined; refused: Refused[] } {
  if (rows.length === 0) return foldEvents(undefined, deliveries, aggregation)
  try {
    const state = rows.map((row) => row.state).reduce((a, b) => aggregation.merge(a, b) as Payload)
    return foldEvents({ state, hops: Math.max(...rows.map((row) => row.hops)) }, deliveries, aggregation)
  } catch (error) {
    return { fold: undefined, refused: deliveries.map((delivery) => refuse(delivery, error)) }
  }
}

function rowOf(key: EventKey, { first, last }: Session, fold: Fold, windows: SessionWindows): PaneRow {
  return { ...key, start: first, firstOpen: first, end: last, closeAt: closesAt({ first, last }, windows), ...fold }
}

/** Closes sessions that the watermarks have passed, the earliest first. */
export async function closeSessions(
  tx: Transaction,
  passed: readonly Passed[],
  generation: Generation,
  { aggregation }: Sessions,
): Promise<Closing> {
  const ends = await readDueEnds(tx, generation, passed, { limit: CLOSING.ends, bytes: CLOSING.bytes })
  if (ends.length === 0) return { closed: [], more: false }
  const due = new Set(ends.map((end) => `${end.closeAt} ${nameOf(end)}`))
  const keys = new Map(ends.map((end) => [nameOf(end), end]))
  const rows = (await readPanesOf(tx, generation, [...keys.values()])).filter((row) =>
    due.has(`${row.closeAt} ${nameOf(row)}`),
  )
  const closed = rows.map((row) => closedOf(row, [row], aggregation))
  await deletePanes(tx, generation, rows)
  return { closed, more: true }
}
