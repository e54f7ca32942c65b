/**
 * Searches the events, the last accepted first. Only unique fields and unsettled or failed events are indexed, because
 * every index costs time for every event. For other fields the events are scanned, window by window, from the newest
 * backwards.
 */
import type { EventStatus } from '@eventflow/core'
import { EVENT_OF, EVENTS_BY_ID } from '../ledger/event-ids.js'
import { readStoredRange } from '../ledger/raw-events.js'
import { hasRow, IS_SETTLED_OR_RETRYING } from '../ledger/settled.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'
import { asMoment } from '../server/moments.js'
import { WINDOW } from './replay.js'
import { findEndSeq, findFirstSeq } from './seq-at.js'

/** An event must match all given fields. */
export interface EventQuery {
  tenantId: string
  /** Any of these. */
  ids?: string[]
  source?: string
  correlationId?: string
  type?: string
  key?: string
  /** The partition of the key. Give it with a key, so that the other partitions need not be scanned. */
  partition?: number
  status?: EventStatus
  /** Accepted at this moment or later, RFC 3339. */
  from?: string
  /** Accepted before this moment, RFC 3339. */
  to?: string
}

// biome-ignore lint/suspicious/noExplicitAny: a row of the view, passed on as JSON.
type EventRow = Record<string, any>

/** A page of results. Events with a lower seq than `before` were not checked; `null` if there are no more. */
export interface EventPage {
  rows: EventRow[]
  before: number | null
}

/** Seqs that one statement scans if it reads a single partition. */
const WINDOW_OF_ONE = 10 * WINDOW

/** How long a search continues with few or no results, in milliseconds. The caller can ask for the next page. */
const BUDGET_MS = 1_000

/** The conditions of the statuses; `e` is the event's row in `raw_events`. */
const IS: Record<EventStatus, string> = {
  processed: hasRow('processed_events'),
  failed: hasRow('failed_events', `o.status = 'open'`),
  discarded: hasRow('failed_events', `o.status = 'discarded'`),
  retrying: `${hasRow('retries')} AND NOT ${hasRow('processed_events')}`,
  accepted: `NOT ${IS_SETTLED_OR_RETRYING}`,
}

/** The conditions that are checked event by event: $1 to $6. */
const MATCHING = `
  e.tenant_id = $1 AND ($2::text IS NULL OR e.type = $2) AND ($3::text IS NULL OR e.key = $3)
  AND ($4::timestamptz IS NULL OR e.accepted_at >= $4) AND ($5::timestamptz IS NULL OR e.accepted_at < $5)
  AND ($6::text IS NULL OR e.source = $6)`

const COLUMNS = `
  seq, event_id, external_id, type, source, key, partition, status, attempts, ${asMoment('occurred_at')} AS time, accepted_at, processed_at,
  failed_at, retry_at, error_class, message, correlation_id, causation_id`

const UUID_OF = (text: string) =>
  `CASE WHEN ${text} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN ${text}::uuid END`

/** The rows of the view for the events that `chosen` selects. */
const rowsOf = (chosen: string) => `
  SELECT ${COLUMNS} FROM events WHERE (partition, seq) IN (SELECT partition, seq FROM (${chosen}) c)
  ORDER BY seq DESC`

/** Resolves with a page of matching events, the last accepted first, below the seq `before` if given. */
export async function listEvents(
  db: Db,
  query: EventQuery,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<EventPage> {
  const { tenantId, type, key, status, from, to, source } = query
  const values = [tenantId, type, key, from, to, source]
  const conditions = `${MATCHING} AND ${status ? IS[status] : 'true'}`
  const few = fewCandidates(query)
  if (few) {
    const chosen = `
      SELECT e.* FROM (${few.candidates}) e WHERE ${conditions} AND ($7::bigint IS NULL OR e.seq < $7)
      ORDER BY e.seq DESC LIMIT $8`
    const sought = [...values, before, limit, ...few.values]
    const { rows } = await asTenant(db, tenantId, (tx) => tx.query(rowsOf(chosen), sought))
    return { rows, before: rows.length === limit ? rows.at(-1)!.seq : null }
  }
  return lookBack(db, query, { before, limit, conditions, values })
}

/** The conditions for which an index leads to few events: id, correlation id, unsettled or failed. Values from $9. */
function fewCandidates({
  ids,
  correlationId,
  status,
}: EventQuery): { candidates: string; values: unknown[] } | undefined {
  if (ids !== undefined) {
    const correlated = correlationId === undefined ? '' : 'WHERE r.correlation_id = $10'
    return {
      candidates: `SELECT r.* FROM ${EVENTS_BY_ID('(SELECT $1 AS tenant_id, unnest($9::uuid[]) AS event_id)')} ${correlated}`,
      values: [ids, ...(correlationId === undefined ? [] : [correlationId])],
    }
  }
  if (correlationId !== undefined) {
    // An event without a correlation id is its own, and has no entry in the index.
    return {
      candidates: `
        SELECT * FROM raw_events
        WHERE tenant_id = $1 AND correlation_id = $9 AND correlation_id <> event_id::text
        UNION ALL
        SELECT r.* FROM ${EVENTS_BY_ID(`(SELECT $1 AS tenant_id, ${UUID_OF('$9')} AS event_id)`)}
        WHERE r.correlation_id = $9`,
      values: [correlationId],
    }
  }
  const tables = { retrying: 'retries', failed: 'failed_events', discarded: 'failed_events' } as Record<string, string>
  const table = tables[status ?? '']
  if (!table) return undefined
  return {
    candidates: `SELECT r.* FROM ${table} o CROSS JOIN ${EVENT_OF('o')} r`,
    values: [],
  }
}

/** Scans `raw_events` from the newest backwards until a page is full, there is no more, or the time is up. */
async function lookBack(
  db: Db,
  { tenantId, from, to, partition, status }: EventQuery,
  search: { before: number | undefined; limit: number; conditions: string; values: readonly unknown[] },
): Promise<EventPage> {
  const { limit, conditions, values } = search
  const stored = await readStoredRange(db)
  const since = status === 'accepted' ? { ...stored, first: await readLowestUnsettled(db) } : stored
  const first = from === undefined ? since.first : await findFirstSeq(db, from, since)
  const end = to === undefined ? stored.last + 1 : await findEndSeq(db, to, stored)
  let before = Math.min(search.before ?? end, end)
  // Each partition gives its newest events by its index, and the newest of all are taken. OFFSET 0 keeps Postgres from
  // reading all events of the window before it takes the first ones, which it would do if it expects few matches.
  const chosen = `
    SELECT m.* FROM partitions
    CROSS JOIN LATERAL (SELECT e.seq, e.partition
                        FROM (SELECT * FROM raw_events
                              WHERE partition = partitions.id AND seq >= $7 AND seq < $8 ORDER BY seq DESC OFFSET 0) e
                        WHERE ${conditions} LIMIT $9) m
    WHERE $10::smallint IS NULL OR partitions.id = $10 ORDER BY m.seq DESC LIMIT $9`
  const deadline = performance.now() + BUDGET_MS
  const rows: EventRow[] = []
  while (before > first) {
    const after = Math.max(first, before - (partition === undefined ? WINDOW : WINDOW_OF_ONE))
    const sought = [...values, after, before, limit - rows.length, partition]
    const part = await asTenant(db, tenantId, (tx) => tx.query(rowsOf(chosen), sought))
    rows.push(...part.rows)
    before = rows.length === limit ? rows.at(-1)!.seq : after
    if (rows.length === limit || performance.now() > deadline) break
  }
  return { rows, before: before > first ? before : null }
}

/** Every event below this seq is settled or in `retries`. */
async function readLowestUnsettled(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT min(settled_seq) AS settled FROM partitions')
  return rows[0].settled + 1
}
