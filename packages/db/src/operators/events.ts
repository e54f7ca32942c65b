/** The view `events`: one row for each accepted event, with its status. */
import { identityOf } from '@eventflow/core'
import { EVENTS_BY_ID, IS_EVENT_OF_ID } from '../ledger/event-ids.js'
import { IS_SETTLED, SETTLING_STATUSES } from '../ledger/settled.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'
import { asMoment } from '../server/moments.js'

// biome-ignore lint/suspicious/noExplicitAny: a row of the view, passed on as JSON.
type EventRow = Record<string, any>

/** The groups of the tenant $1 in which an event is a dead letter that was not replayed; NULL if there are none. */
const DEAD_IN_GROUPS = `(
  SELECT jsonb_agg(jsonb_build_object('group', g.name, 'status', d.status, 'error_class', d.error_class,
                                      'message', d.message) ORDER BY g.name)
  FROM consumer_groups g JOIN group_dead_letters d USING (group_id)
  WHERE g.tenant_id = $1 AND d.tenant_id = $1 AND d.seq = events.seq AND d.status <> 'replayed')`

/**
 * Resolves with the event with this id, or undefined; `time` is its `occurred_at` for `momentOf`, `dead_in` the groups
 * that have failed to handle it, or null.
 */
export async function findEvent(db: Db, tenantId: string, id: string): Promise<EventRow | undefined> {
  const text = `
    SELECT *, ${asMoment('occurred_at')} AS time, ${DEAD_IN_GROUPS} AS dead_in FROM events
    WHERE (partition, seq) IN (SELECT partition, seq FROM event_ids WHERE tenant_id = $1 AND event_id = $2)
      AND tenant_id = $1 AND event_id = $2`
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
    SELECT r.event_id FROM ${EVENTS_BY_ID('(SELECT $1 AS tenant_id, unnest($2::uuid[]) AS event_id)')}
    WHERE r.source = $3 ORDER BY array_position($2::uuid[], r.event_id) LIMIT 1`
  const values = [tenantId, ids, source]
  const { rows } = await asTenant(db, tenantId, (tx) => tx.query({ name: 'find-id-of-source', text, values }))
  return rows[0]?.event_id
}

/**
 * Resolves with the seqs of those of these events that are settled. An event that Postgres does not have counts as
 * settled: retention removed it.
 */
export async function findSettled(
  db: Queryable,
  events: readonly { seq: number; partition: number }[],
): Promise<Set<number>> {
  const { rows } = await db.query({
    name: 'find-settled',
    text: `
      SELECT seq FROM unnest($1::bigint[], $2::smallint[]) AS e(seq, partition)
      WHERE ${IS_SETTLED} OR (SELECT true FROM raw_events r WHERE r.partition = e.partition AND r.seq = e.seq) IS NULL`,
    values: [events.map((e) => e.seq), events.map((e) => e.partition)],
  })
  return new Set(rows.map((row) => row.seq))
}

/**
 * Resolves with those of these ids whose events are settled, by `identityOf`. An event that Postgres does not have
 * counts as settled: retention removed it.
 */
export async function findSettledIds(
  db: Queryable,
  ids: readonly { tenantId: string; id: string }[],
): Promise<Set<string>> {
  const { rows } = await db.query({
    name: 'find-settled-ids',
    text: `
      SELECT tenant_id, event_id FROM unnest($1::text[], $2::uuid[]) AS wanted(tenant_id, event_id)
      WHERE (SELECT true FROM event_ids i JOIN raw_events e ON ${IS_EVENT_OF_ID('e')}
             WHERE i.tenant_id = wanted.tenant_id AND i.event_id = wanted.event_id AND NOT ${IS_SETTLED} LIMIT 1) IS NULL`,
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
