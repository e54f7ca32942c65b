/** The view `events`: one row for each accepted event, with its status. */
import { identityOf } from '@eventflow/core'
import { SETTLING_STATUSES } from '../ledger/settled.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'
import { asMoment } from '../server/moments.js'

// biome-ignore lint/suspicious/noExplicitAny: a row of the view, passed on as JSON.
type EventRow = Record<string, any>

/** Resolves with the event with this id, or undefined; `time` is its `occurred_at` for `momentOf`. */
export async function findEvent(db: Db, tenantId: string, id: string): Promise<EventRow | undefined> {
  const text = `SELECT *, ${asMoment('occurred_at')} AS time FROM events WHERE tenant_id = $1 AND event_id = $2`
  const values = [tenantId, id]
  const { rows } = await asTenant(db, tenantId, (tx) => tx.query({ name: 'find-event', text, values }))
  return rows[0]
}

/** Resolves with the first of these ids that belongs to an event of this source, if any. */
export async function findIdOfSource(
  db: Db,
  tenantId: string,
  ids: readonly string[],
  source: string,
): Promise<string | undefined> {
  const text = `
    SELECT event_id FROM raw_events WHERE tenant_id = $1 AND event_id = ANY($2::uuid[]) AND source = $3
    ORDER BY array_position($2::uuid[], event_id) LIMIT 1`
  const values = [tenantId, ids, source]
  const { rows } = await asTenant(db, tenantId, (tx) => tx.query({ name: 'find-id-of-source', text, values }))
  return rows[0]?.event_id
}

/**
 * Resolves with those of these events that are settled, by `identityOf`. An event that Postgres does not have counts as
 * settled: retention removed it.
 */
export async function findSettled(
  db: Queryable,
  ids: readonly { tenantId: string; id: string }[],
): Promise<Set<string>> {
  const { rows } = await db.query({
    name: 'find-settled',
    text: `
      WITH wanted AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS ids(tenant_id, event_id))
      SELECT tenant_id, event_id FROM wanted JOIN processed_events USING (tenant_id, event_id)
      UNION ALL
      SELECT tenant_id, event_id FROM wanted JOIN failed_events f USING (tenant_id, event_id)
      WHERE f.status IN ${SETTLING_STATUSES}
      UNION ALL
      SELECT tenant_id, event_id FROM wanted
      WHERE NOT EXISTS (SELECT FROM raw_events r WHERE r.tenant_id = wanted.tenant_id AND r.event_id = wanted.event_id)`,
    values: [ids.map((e) => e.tenantId), ids.map((e) => e.id)],
  })
  return new Set(rows.map((row) => identityOf({ tenantId: row.tenant_id, id: row.event_id })))
}

/** How many events there are, by status. */
export interface EventCounts {
  accepted: number
  processed: number
  failed: number
  retrying: number
  /** accepted - processed - failed: the backlog. */
  unsettled: number
}

/** Counts the rows of the tables: exact, in one snapshot, and slower the larger they are. */
export async function countEvents(db: Queryable): Promise<EventCounts> {
  const { rows } = await db.query(`
    SELECT (SELECT count(*) FROM raw_events) AS accepted,
           (SELECT count(*) FROM processed_events) AS processed,
           (SELECT count(*) FROM failed_events WHERE status IN ${SETTLING_STATUSES}) AS failed,
           (SELECT count(*) FROM retries) AS retrying`)
  const { accepted, processed, failed, retrying } = rows[0]
  return { accepted, processed, failed, retrying, unsettled: accepted - processed - failed }
}

/** Whether there is any event. */
export async function hasEvents(db: Queryable): Promise<boolean> {
  const { rows } = await db.query('SELECT EXISTS (SELECT FROM raw_events) AS some')
  return rows[0].some
}
