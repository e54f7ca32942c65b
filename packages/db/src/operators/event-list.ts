/**
 * Searching the events, the last accepted first. Only what is unique, waits or has failed is indexed, because every index is
 * paid for by every event: the rest is looked through, part by part, from the newest backwards.
 */
import type { EventStatus } from '@eventflow/core'
import { readStoredRange } from '../ledger/raw-events.js'
import { hasRow, IS_SETTLED_OR_RETRYING } from '../ledger/settled.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'
import { asMoment } from '../server/moments.js'
import { WINDOW } from './replay.js'
import { findEndSeq, findFirstSeq } from './seq-at.js'

/** Every part that is given must hold. */
export interface EventQuery {
  tenantId: string
  /** Any of these. */
  ids?: string[]
  source?: string
  correlationId?: string
  type?: string
  key?: string
  /** Where the events of the key are. To be given with a key: the others need not be looked through then. */
  partition?: number
  status?: EventStatus
  /** Accepted at this moment or later, RFC 3339. */
  from?: string
  /** Accepted before this moment, RFC 3339. */
  to?: string
}

// biome-ignore lint/suspicious/noExplicitAny: a row of the view, passed on as JSON.
type EventRow = Record<string, any>

/** What was found. Events with a lower seq than `before` were not looked at; `null`: there is nothing more. */
export interface EventPage {
  rows: EventRow[]
  before: number | null
}

/** Seqs that one statement looks at where all but one partition are left out. */
const WINDOW_OF_ONE = 10 * WINDOW

/** How long a search goes on with nothing or little found, in milliseconds. Who wants more of it asks for the next page. */
const BUDGET_MS = 1_000

/** What it takes to say of an event how it is; `e` is its row in `raw_events`. */
const IS: Record<EventStatus, string> = {
  processed: hasRow('processed_events'),
  failed: hasRow('failed_events', `o.status = 'open'`),
  discarded: hasRow('failed_events', `o.status = 'discarded'`),
  retrying: `${hasRow('retries')} AND NOT ${hasRow('processed_events')}`,
  accepted: `NOT ${IS_SETTLED_OR_RETRYING}`,
}

/** The parts of a query that are looked at event by event: $1 to $6. */
const MATCHING = `
  e.tenant_id = $1 AND ($2::text IS NULL OR e.type = $2) AND ($3::text IS NULL OR e.key = $3)
  AND ($4::timestamptz IS NULL OR e.accepted_at >= $4) AND ($5::timestamptz IS NULL OR e.accepted_at < $5)
  AND ($6::text IS NULL OR e.source = $6)`

const COLUMNS = `
  seq, event_id, external_id, type, source, key, partition, status, attempts, ${asMoment('occurred_at')} AS time, accepted_at, processed_at,
  failed_at, retry_at, error_class, message, correlation_id, causation_id`

/** The rows of the view for the events that `chosen` selects. */
const rowsOf = (chosen: string) => `
  SELECT ${COLUMNS} FROM events WHERE (tenant_id, event_id) IN (SELECT tenant_id, event_id FROM (${chosen}) c)
  ORDER BY seq DESC`

/** A page of the events that match, the last accepted first; below the seq `before` where it is given. */
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

/** Where an index leads to few events: by id, by correlation id, and those that wait or have failed. Values from $9. */
function fewCandidates({
  ids,
  correlationId,
  status,
}: EventQuery): { candidates: string; values: unknown[] } | undefined {
  if (ids !== undefined) {
    const correlated = correlationId === undefined ? '' : 'AND correlation_id = $10'
    return {
      candidates: `SELECT * FROM raw_events WHERE tenant_id = $1 AND event_id = ANY($9::uuid[]) ${correlated}`,
      values: [ids, ...(correlationId === undefined ? [] : [correlationId])],
    }
  }
  if (correlationId !== undefined) {
    // The first of its kind is its own: only those that are not have an entry in the index.
    return {
      candidates: `
        SELECT * FROM raw_events
        WHERE tenant_id = $1 AND correlation_id = $9 AND correlation_id <> event_id::text
        UNION ALL
        SELECT * FROM raw_events
        WHERE tenant_id = $1 AND correlation_id = $9
          AND event_id = CASE WHEN $9 ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN $9::uuid END
          AND correlation_id = event_id::text`,
      values: [correlationId],
    }
  }
  const tables = { retrying: 'retries', failed: 'failed_events', discarded: 'failed_events' } as Record<string, string>
  const table = tables[status ?? '']
  if (!table) return undefined
  return { candidates: `SELECT r.* FROM ${table} JOIN raw_events r USING (tenant_id, event_id)`, values: [] }
}

/** Looks through `raw_events` from the newest backwards until a page is full, there is no more, or it took too long. */
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
  // Each partition gives its newest, by its index, and the newest of them all are taken. OFFSET 0 keeps Postgres from looking
  // at all events of the window before it takes the first ones, which it would where it thinks that few match.
  const chosen = `
    SELECT m.* FROM partitions
    CROSS JOIN LATERAL (SELECT e.seq, e.tenant_id, e.event_id
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

/** Everything below this seq is settled, or waits in `retries`. */
async function readLowestUnsettled(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT min(settled_seq) AS settled FROM partitions')
  return rows[0].settled + 1
}
