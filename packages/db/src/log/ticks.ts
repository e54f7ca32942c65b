/**
 * Ticks: marks of the log that let windows and joins close although no event follows. A tick says what was proven, so
 * a tenant that is slow, or an ingest that is down, closes nothing.
 *
 * Two statements are needed for the proof, in this order. The first finds the time up to which acceptance is final: no
 * transaction that began before it is still open. Only a later snapshot shows all that these transactions have accepted;
 * the second looks whether that is settled. Times are microseconds since 1970, by the clock of Postgres.
 */
import { smallintColumn, textColumn } from '../ledger/columns.js'
import { IS_SETTLED } from '../ledger/settled.js'
import { ACCEPTING_APPLICATIONS, type Queryable } from '../server/connect.js'

/** A heartbeat of ingest that is older is none. */
const HEARTBEAT_MS = 3_000

/** For the moment between the start of a transaction and when it is seen, and for changes of the clock. */
const MARGIN_MS = 1_000

const micros = (time: string) => `(extract(epoch FROM ${time}) * 1000000)::bigint::text`

/** What one look a second shows. */
export interface Pulse {
  /** When it was. */
  at: bigint
  /** A process of ingest accepts events. */
  accepting: boolean
  /** There is a window or a join that ticks may close. */
  wanted: boolean
}

/** Looks whether events are accepted, and whether anybody waits for ticks. Cheap. */
export async function readPulse(db: Queryable): Promise<Pulse> {
  const { rows } = await db.query({
    name: 'read-pulse',
    text: `
      SELECT ${micros('now()')} AS at,
             EXISTS (SELECT FROM ingest_processes WHERE seen_at > now() - $1 * interval '1 millisecond') AS accepting,
             EXISTS (SELECT FROM consumer_groups
                     WHERE kind IN ('window', 'join') AND idle IS NOT NULL AND paused_for IS NULL) AS wanted`,
    values: [HEARTBEAT_MS],
  })
  const { at, accepting, wanted } = rows[0]
  return { at: BigInt(at), accepting, wanted }
}

/**
 * Resolves with the time up to which acceptance is final: a later statement sees all events that were accepted until
 * then. Undefined if we may not see since when a transaction runs. One that has only read counts, too: it may still
 * accept an event.
 */
export async function readFinalTime(db: Queryable): Promise<bigint | undefined> {
  const { rows } = await db.query({
    name: 'read-final-time',
    text: `
      SELECT CASE WHEN isfinite(since) THEN ${micros("since - $1 * interval '1 millisecond'")} END AS final
      FROM (SELECT least(now(), min(CASE WHEN xact_start IS NULL AND state IS DISTINCT FROM 'idle' THEN '-infinity'
                                         ELSE xact_start END)) AS since FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = ANY($2)) accepting`,
    values: [MARGIN_MS, ACCEPTING_APPLICATIONS],
  })
  const { final } = rows[0]
  return final === null ? undefined : BigInt(final)
}

/** A partition, and since when its owner has seen events accepted and settled without a break. */
export interface SeenPartition {
  partition: number
  seenSince: bigint
}

export interface PartitionTenant {
  partition: number
  tenantId: string
}

// Only tenants with open state are looked at: each is found by the index, from the one before.
const DUE = (kind: 'window' | 'join', table: string, timer: string) => {
  const next = (condition: string) => `
    (SELECT tenant_id FROM ${table} s
     WHERE s.group_id = g.group_id AND s.generation = c.generation AND s.partition = c.partition ${condition}
     ORDER BY tenant_id LIMIT 1)`
  return `
    SELECT c.partition, w.tenant_id
    FROM unnest($1::smallint[], $2::bigint[]) AS mine(id, seen_since)
    CROSS JOIN consumer_groups g
    JOIN group_cursors c
      ON c.group_id = g.group_id AND c.generation IN (g.generation, g.building) AND c.partition = mine.id
    CROSS JOIN LATERAL (
      WITH RECURSIVE tenants AS (
        SELECT ${next('')} AS tenant_id
        UNION ALL
        SELECT ${next('AND s.tenant_id > tenants.tenant_id')} FROM tenants WHERE tenant_id IS NOT NULL)
      SELECT tenant_id FROM tenants WHERE tenant_id IS NOT NULL) open
    CROSS JOIN LATERAL (
      SELECT * FROM group_watermarks w
      WHERE w.group_id = g.group_id AND w.generation = c.generation AND w.partition = c.partition
        AND w.tenant_id = open.tenant_id
      OFFSET 0) w
    CROSS JOIN LATERAL (
      SELECT ${timer} AS at FROM ${table} s
      WHERE s.group_id = g.group_id AND s.generation = c.generation AND s.partition = c.partition
        AND s.tenant_id = open.tenant_id AND ${timer} > coalesce(w.watermark, -9223372036854775808)
      ORDER BY ${timer} LIMIT 1) due
    WHERE g.kind = '${kind}' AND g.paused_for IS NULL
      AND $3::bigint - greatest(w.last_accepted, mine.seen_since) >= g.idle AND due.at <= $3 - g.out_of_orderness
      AND NOT EXISTS (SELECT FROM log_holds h WHERE h.partition = c.partition AND h.tenant_id = w.tenant_id)
      AND coalesce((
        SELECT m.at - greatest(w.last_accepted, m.seen_since) < g.idle OR due.at > m.at - g.out_of_orderness
        FROM log_marks m
        WHERE m.partition = c.partition AND m.tenant_id = w.tenant_id AND m.kind = 'tick' AND m.position > c.position
        ORDER BY m.position DESC LIMIT 1), true)`
}

/**
 * Resolves with the tenants for which a tick of the time `at` would close a window or let a row of a join expire: it is
 * due, its group has had no event for its `idle` time, and the last tick that it has not read yet, if any, does not do so
 * already.
 */
export async function findAwaitedTicks(
  db: Queryable,
  partitions: readonly SeenPartition[],
  at: bigint,
): Promise<PartitionTenant[]> {
  const { rows } = await db.query({
    name: 'find-awaited-ticks',
    text: `${DUE('window', 'window_state', 'close_at')} UNION ${DUE('join', 'join_rows', 'expires_at')}`,
    values: [
      smallintColumn(partitions.map(({ partition }) => partition)),
      partitions.map(({ seenSince }) => `${seenSince}`),
      `${at}`,
    ],
  })
  return rows.map((row) => ({ partition: row.partition, tenantId: row.tenant_id }))
}

// Below `settled_seq`, an event is settled or in `retries`. The tenants are compared inside CASE, where no other index
// helps: the events are found by partition and seq.
const FIND_SETTLED = `
  SELECT given.partition, given.tenant_id
  FROM unnest($1::smallint[], $2::text[]) AS given(partition, tenant_id)
  WHERE NOT EXISTS (SELECT FROM retries r WHERE r.partition = given.partition AND r.tenant_id = given.tenant_id)
    AND (given.partition, given.tenant_id) NOT IN (
      SELECT p.id, e.tenant_id
      FROM partitions p
      CROSS JOIN LATERAL (
        SELECT tenant_id, seq FROM raw_events
        WHERE partition = p.id AND seq > p.settled_seq AND accepted_at <= 'epoch'::timestamptz + $3 * interval '1 microsecond'
          AND CASE WHEN tenant_id = ANY($2) THEN true END OFFSET 0) e
      WHERE p.id = ANY($1) AND NOT ${IS_SETTLED})`

/**
 * Resolves with those of these tenants of whom every event that was accepted up to `at` is settled. `at` must be final.
 */
export async function findAllSettled(
  db: Queryable,
  pairs: readonly PartitionTenant[],
  at: bigint,
): Promise<PartitionTenant[]> {
  const { rows } = await db.query({
    name: 'find-all-settled',
    text: FIND_SETTLED,
    values: [
      smallintColumn(pairs.map(({ partition }) => partition)),
      textColumn(pairs.map(({ tenantId }) => tenantId)),
      `${at}`,
    ],
  })
  return rows.map((row) => ({ partition: row.partition, tenantId: row.tenant_id }))
}

/** A tick: all events of the tenant that were accepted up to `at` are settled. */
export interface Tick extends PartitionTenant {
  at: bigint
  seenSince: bigint
}

/** Writes ticks into the log. Call it in a transaction that has locked the partitions with the fence. */
export async function writeTicks(tx: Queryable, ticks: readonly Tick[]): Promise<void> {
  await tx.query({
    name: 'write-ticks',
    text: `
      INSERT INTO log_marks (partition, position, tenant_id, kind, at, seen_since)
      SELECT partition, nextval('log_position'), tenant_id, 'tick', at, seen_since
      FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[]) AS t(partition, tenant_id, at, seen_since)`,
    values: [
      smallintColumn(ticks.map(({ partition }) => partition)),
      textColumn(ticks.map(({ tenantId }) => tenantId)),
      ticks.map(({ at }) => `${at}`),
      ticks.map(({ seenSince }) => `${seenSince}`),
    ],
  })
}
