/**
 * Replay and discard: settled events that an operator sends through again, or dead letters that the operator closes for
 * good. A replayed event goes into `retries`, where the owner of its partition finds it, and never into a stream. So it
 * survives every crash, keeps the order of its key, and is settled behind the same fence as all other events.
 */

import { type EventFilter, filterValues, matches } from '../ledger/event-filter.js'
import { readStoredRange } from '../ledger/raw-events.js'
import { replayMark, rfc3339 } from '../ledger/replay-mark.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'

/** The kinds of operations: on open dead letters, or on processed events. */
export type OperationKind = 'replay-dead-letters' | 'discard-dead-letters' | 'replay-processed'

/** The events that an operator selects. */
export interface Selection {
  kind: OperationKind
  tenantId: string
  filter: EventFilter
}

/** How many events match, and their lowest and highest seq; 0 if there is none. */
export interface Extent {
  count: number
  first: number
  last: number
}

/** Seqs that one statement scans if it cannot know how many of them match; this limits its time. */
export const WINDOW = 50_000

/** Enough of an event to recognize it. Dead letters have a failure, processed events do not. */
export interface Sample {
  event_id: string
  type: string
  key: string
  accepted_at: Date
  error_class?: string
  message?: string
}

const OPEN = `e.status = 'open' AND ${matches('e.failed_at')} AND ($7::text IS NULL OR e.error_class = $7)`
const PROCESSED = `
  raw_events e JOIN processed_events p ON p.seq = e.seq
  WHERE ${matches('e.accepted_at')} AND $7::text IS NULL AND e.seq > $8 AND e.seq <= $9`

const queryAs = (db: Db, tenantId: string) => (text: string, values: unknown[]) =>
  asTenant(db, tenantId, (tx) => tx.query(text, values))

/** Counts the events that an operation would change. Exact; the cost grows with the number of events to scan. */
export async function countMatching(db: Db, { kind, tenantId, filter }: Selection): Promise<Extent> {
  const values = filterValues(tenantId, filter)
  const query = queryAs(db, tenantId)
  if (kind !== 'replay-processed') {
    const { rows } = await query(
      `SELECT count(*) AS count, coalesce(min(seq), 0) AS first, coalesce(max(seq), 0) AS last
       FROM failed_events e WHERE ${OPEN}`,
      values,
    )
    return rows[0]
  }
  const found: Extent = { count: 0, first: 0, last: 0 }
  const stored = await readStoredRange(db)
  for (let after = stored.first - 1; after < stored.last; after += WINDOW) {
    const { rows } = await query(
      `SELECT count(*) AS count, coalesce(min(e.seq), 0) AS first, coalesce(max(e.seq), 0) AS last
       FROM ${PROCESSED} AND e.partition IN (SELECT id FROM partitions)`,
      [...values, after, after + WINDOW],
    )
    const [part] = rows
    if (found.count === 0) found.first = part.first
    if (part.count > 0) found.last = part.last
    found.count += part.count
  }
  return found
}

/** Resolves with a few of the first events that an operation would change. */
export async function readSamples(
  db: Db,
  { kind, tenantId, filter }: Selection,
  { first, last }: Extent,
): Promise<Sample[]> {
  const values = filterValues(tenantId, filter)
  const query = queryAs(db, tenantId)
  if (kind !== 'replay-processed') {
    const { rows } = await query(
      `SELECT event_id, type, key, accepted_at, error_class, message FROM failed_events e WHERE ${OPEN}
       ORDER BY seq LIMIT 5`,
      values,
    )
    return rows
  }
  const { rows } = await query(
    `SELECT e.event_id, e.type, e.key, e.accepted_at
     FROM ${PROCESSED} AND e.partition IN (SELECT id FROM partitions) ORDER BY e.seq LIMIT 5`,
    [...values, first - 1, Math.min(last, first + WINDOW)],
  )
  return rows
}

/** Resolves with the types of the events of this extent that an operation would change. */
export async function typesMatching(
  db: Db,
  { kind, tenantId, filter }: Selection,
  { first, last }: Extent,
): Promise<string[]> {
  const values = filterValues(tenantId, filter)
  const query = queryAs(db, tenantId)
  if (kind !== 'replay-processed') {
    const { rows } = await query(`SELECT DISTINCT type FROM failed_events e WHERE ${OPEN}`, values)
    return rows.map(({ type }) => type)
  }
  const types = new Set<string>()
  for (let after = first - 1; after < last; after += WINDOW) {
    const { rows } = await query(
      `SELECT DISTINCT e.type FROM ${PROCESSED} AND e.partition IN (SELECT id FROM partitions)`,
      [...values, after, Math.min(after + WINDOW, last)],
    )
    for (const { type } of rows) types.add(type)
  }
  return [...types]
}

/** A part of a selection: seq above `after`, up to `until`, at most `limit` events. */
export interface Part {
  operationId: string
  after: number
  until: number
  limit: number
  requestedBy: string
  reason: string | null
}

/** The result of a part: how many events it changed, and up to which seq it scanned. */
export interface PartDone {
  changed: number
  reached: number
}

// Events that were settled after the operation was started are left out: the operator had not seen them.
const BEFORE = `< (SELECT started_at FROM operations WHERE id = $13)`
const SCHEMA_VERSION = '(SELECT schema_version FROM operations WHERE id = $13)'

const REQUESTED = `'requested by ' || $11::text || coalesce(', as version ' || ${SCHEMA_VERSION}, '') || coalesce(': ' || $12::text, '')`

// Each becomes due a microsecond after the one before: a worker that loads only some of them loads the first of each
// key first.
const intoRetries = (source: string, history: string, crashes: string) => `
  INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, history, crashes, schema_version)
  SELECT tenant_id, event_id, seq, partition, 0, now() + row_number() OVER (ORDER BY seq) * interval '1 microsecond',
         ${history}, ${crashes}, ${SCHEMA_VERSION}
  FROM ${source}
  ON CONFLICT (seq) DO UPDATE
    SET attempts = 0, due_at = excluded.due_at, history = excluded.history, crashes = excluded.crashes,
        schema_version = excluded.schema_version`

const CHOSEN_DEAD_LETTERS = `
  SELECT tenant_id, event_id, seq, partition, error_class, history FROM failed_events e
  WHERE ${OPEN} AND e.seq > $8 AND e.seq <= $9 AND e.failed_at ${BEFORE}
  ORDER BY e.seq LIMIT $10 FOR UPDATE`

const SET_STATUS = (source: string, from: string, to: string) => `
  UPDATE failed_events f
  SET status = '${to}', resolved_at = ${to === 'discarded' ? 'now()' : 'NULL'}, resolved_by = $11, reason = $12
  FROM ${source} s WHERE f.seq = s.seq AND f.status = '${from}'`

// An event that crashed its worker is processed separately, as a suspect with one crash.
const REPLAY_DEAD_LETTERS = `
  WITH chosen AS (${CHOSEN_DEAD_LETTERS}),
       resolved AS (${SET_STATUS('chosen', 'open', 'replaying')}),
       waiting AS (${intoRetries(
         'chosen',
         `history || ${replayMark(REQUESTED)}`,
         `CASE error_class WHEN 'Poison' THEN 1 ELSE 0 END`,
       )})
  SELECT count(*) AS found, count(*) AS changed, max(seq) AS last FROM chosen`

const DISCARD_DEAD_LETTERS = `
  WITH chosen AS (${CHOSEN_DEAD_LETTERS}), resolved AS (${SET_STATUS('chosen', 'open', 'discarded')})
  SELECT count(*) AS found, count(*) AS changed, max(seq) AS last FROM chosen`

const ENTRY = `
  seq, partition, position, tenant_id, event_id, type, key, payload, correlation_id, accepted_at, occurred_at, processed_at`

// Each partition gives its first events by its index, and the first of all are taken. An event that has a dead letter
// gets it back if it fails again. The log keeps the entry meanwhile, if the event was processed since there are
// positions; there may still be the one of an earlier replay.
const REPLAY_PROCESSED = `
  WITH chosen AS (
         SELECT m.* FROM partitions
         CROSS JOIN LATERAL (SELECT e.seq
                             FROM ${PROCESSED} AND e.partition = partitions.id AND p.processed_at ${BEFORE}
                             ORDER BY e.seq LIMIT $10) m
         ORDER BY m.seq LIMIT $10),
       gone AS (DELETE FROM processed_events p USING chosen c
                WHERE p.seq = c.seq
                RETURNING p.*),
       entries AS (INSERT INTO log_replaying (${ENTRY})
                   SELECT ${ENTRY} FROM gone WHERE position IS NOT NULL
                   ON CONFLICT (seq) DO UPDATE SET payload = excluded.payload, processed_at = excluded.processed_at,
                                                   position = excluded.position),
       letters AS (${SET_STATUS('gone', 'replayed', 'replaying')}),
       waiting AS (${intoRetries(
         'gone',
         `coalesce(history, '[]') || ${replayMark(`${REQUESTED} || '; it was processed at ' || ${rfc3339('processed_at')}`)}`,
         '0',
       )})
  SELECT (SELECT count(*) FROM chosen) AS found, (SELECT count(*) FROM gone) AS changed, (SELECT max(seq) FROM chosen) AS last`

const STATEMENTS: Record<OperationKind, string> = {
  'replay-dead-letters': REPLAY_DEAD_LETTERS,
  'discard-dead-letters': DISCARD_DEAD_LETTERS,
  'replay-processed': REPLAY_PROCESSED,
}

/**
 * Does a part of an operation, in the order of acceptance: changes the rows and adds to `retries` in one statement. An
 * event that another operator has changed meanwhile is left unchanged.
 */
export async function operateOnPart(
  tx: Queryable,
  { kind, tenantId, filter }: Selection,
  part: Part,
): Promise<PartDone> {
  const { rows } = await tx.query(STATEMENTS[kind], [
    ...filterValues(tenantId, filter),
    part.after,
    part.until,
    part.limit,
    part.requestedBy,
    part.reason,
    part.operationId,
  ])
  const { found, changed, last } = rows[0]
  return { changed, reached: found < part.limit ? part.until : last }
}
