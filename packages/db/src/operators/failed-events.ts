/** `failed_events` for operators: the dead letters, one by one and in groups. */
import { type EventFilter, filterValues, matches } from '../ledger/event-filter.js'
import type { DeadLetterStatus } from '../ledger/settled.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db } from '../server/connect.js'

export interface DeadLetterQuery {
  tenantId: string
  filter: EventFilter
  /** All statuses if missing. */
  status?: DeadLetterStatus
}

// biome-ignore lint/suspicious/noExplicitAny: a row of the table, passed on as JSON.
type DeadLetterRow = Record<string, any>

const MATCHING = `
  FROM failed_events e
  WHERE ${matches('e.failed_at')} AND ($7::text IS NULL OR e.error_class = $7) AND ($8::text IS NULL OR e.status = $8)`

/**
 * Resolves with a page of dead letters without their payload and history, the last accepted first; `before` is the
 * `seq` to continue from.
 */
export async function listDeadLetters(
  db: Db,
  { tenantId, filter, status }: DeadLetterQuery,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<DeadLetterRow[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `SELECT seq, event_id, type, key, status, attempts, failure_type, error_class, message, component, correlation_id,
            accepted_at, failed_at, resolved_at, resolved_by, reason
     ${MATCHING} AND ($9::bigint IS NULL OR e.seq < $9)
     ORDER BY seq DESC LIMIT $10`,
      [...filterValues(tenantId, filter), status, before, limit],
    ),
  )
  return rows
}

/** Dead letters of one type and error class. */
export interface DeadLetterGroup {
  type: string
  error_class: string
  count: number
  first_seen: Date
  last_seen: Date
  /**
   * How many failed in each of TREND_PARTS equal parts of the time from the first to the last failure of all groups.
   */
  trend: number[]
}

const TREND_PARTS = 24

/**
 * Resolves with the number of dead letters of each type and error class, and when they failed; the most frequent first.
 * `more`: there are more groups.
 */
export async function groupDeadLetters(
  db: Db,
  { tenantId, filter, status }: DeadLetterQuery,
  limit: number,
): Promise<{ groups: DeadLetterGroup[]; more: boolean }> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `WITH matching AS (SELECT type, error_class, extract(epoch FROM failed_at) AS at ${MATCHING}),
          span AS (SELECT min(at) AS first, max(at) + 0.001 AS last FROM matching),
          parts AS (
            SELECT type, error_class, width_bucket(at, first, last, ${TREND_PARTS}) AS part, count(*) AS count,
                   min(at) AS first_seen, max(at) AS last_seen
            FROM matching, span GROUP BY type, error_class, part)
     SELECT type, error_class, sum(count)::bigint AS count, to_timestamp(min(first_seen)) AS first_seen,
            to_timestamp(max(last_seen)) AS last_seen, jsonb_object_agg(part, count) AS parts
     FROM parts GROUP BY type, error_class ORDER BY 3 DESC, type, error_class LIMIT $9`,
      [...filterValues(tenantId, filter), status, limit + 1],
    ),
  )
  const groups = rows.slice(0, limit).map(({ parts, ...group }) => ({
    ...group,
    trend: Array.from({ length: TREND_PARTS }, (_, i) => parts[i + 1] ?? 0),
  }))
  return { groups, more: rows.length > limit }
}

/** Resolves with one complete dead letter, or undefined. */
export async function findDeadLetter(db: Db, tenantId: string, id: string): Promise<DeadLetterRow | undefined> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query('SELECT * FROM failed_events WHERE tenant_id = $1 AND event_id = $2', [tenantId, id]),
  )
  return rows[0]
}
