/** Reads the unsettled events from Postgres. */
import type { RawEvent } from '@eventflow/core'
import { ACCEPTING_APPLICATIONS, type Queryable, STATEMENT_TIMEOUT_MS } from '../server/connect.js'
import { bigintColumn } from './columns.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'
import { IS_SETTLED_OR_RETRYING } from './settled.js'

/** A range of a partition: seq above `after`, up to `until`. */
export interface Range {
  partition: number
  after: number
  until: number
}

/** A range in which only the events of some tenants are read. */
export interface TenantsRange extends Range {
  /** The tenant whose events are read. If undefined, all tenants except `others`. */
  tenantId: string | undefined
  others: readonly string[]
}

// The statement must follow the index in order and stop at the limit. So the tenants are compared inside CASE, where no
// other index helps. And the limit comes with the range: if Postgres knew it to be larger than the expected number of
// rows, it would rather read all rows and sort them.
const READ_UNSETTLED = `
  SELECT range.number, r.found, ${RAW_EVENT_COLUMNS}
  FROM (SELECT *, ARRAY(SELECT json_array_elements_text(other_tenants)) AS others
        FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::json[],
                    array_fill($7::integer, ARRAY[cardinality($1)])) WITH ORDINALITY
          AS given(partition, after, until, tenant_id, other_tenants, events, number) OFFSET 0) AS range
  CROSS JOIN LATERAL (
    SELECT *, count(*) OVER () AS found,
           sum(size) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
    SELECT *, octet_length(payload::text) AS size FROM raw_events e
    WHERE e.partition = range.partition AND e.seq > range.after AND e.seq <= range.until
      AND CASE WHEN range.tenant_id IS NULL THEN e.tenant_id <> ALL(range.others) ELSE e.tenant_id = range.tenant_id END
      AND e.seq NOT IN (SELECT unnest($6::bigint[]))
      AND NOT ${IS_SETTLED_OR_RETRYING}
    ORDER BY e.seq LIMIT range.events) e) r
  WHERE r.before < $8
  ORDER BY range.number, r.seq`

/**
 * Resolves with the first unsettled events of each range in the order of acceptance: at most `limit`, and no more once
 * their data has `bytes` bytes. `more`: the range may have more. `except` are the seqs of events that the caller
 * already has. Events in `retries` are left out. All ranges are read in one snapshot: a caller that sees an event also
 * sees every event that was acknowledged before it was sent.
 */
export async function readUnsettled(
  db: Queryable,
  ranges: readonly TenantsRange[],
  { except, limit, bytes }: { except: readonly number[]; limit: number; bytes: number },
): Promise<{ events: RawEvent[]; more: boolean }[]> {
  const { rows } = await db.query({
    name: 'read-unsettled',
    text: READ_UNSETTLED,
    values: [
      ranges.map((r) => r.partition),
      ranges.map((r) => r.after),
      ranges.map((r) => r.until),
      ranges.map((r) => r.tenantId),
      ranges.map((r) => JSON.stringify(r.others)),
      bigintColumn(except),
      limit,
      bytes,
    ],
  })
  const looks = ranges.map(() => ({ events: [] as RawEvent[], more: false }))
  for (const row of rows) {
    const look = looks[row.number - 1]!
    look.events.push(rawEventOf(row))
    look.more = row.found === limit || look.events.length < row.found
  }
  return looks
}

/** The state of acceptance, over all partitions. */
export interface Arrivals {
  /** The last seq that was assigned. */
  lastSeq: number
  /** There is more than one tenant. */
  severalTenants: boolean
}

export async function readArrivals(db: Queryable): Promise<Arrivals> {
  const { rows } = await db.query({
    name: 'read-arrivals',
    text: `
      SELECT coalesce(pg_sequence_last_value(sequence::regclass), 0) AS last_seq, (SELECT count(*) > 1 FROM (SELECT FROM tenants LIMIT 2) t) AS several_tenants
      FROM ledger`,
  })
  return { lastSeq: rows[0].last_seq, severalTenants: rows[0].several_tenants }
}

/**
 * Resolves with the number of events in each range, settled or not. Reads only the index if the visibility map is up to
 * date.
 */
export async function countInRanges(db: Queryable, ranges: readonly Range[]): Promise<number[]> {
  const { rows } = await db.query({
    name: 'count-in-ranges',
    text: `
      SELECT (SELECT count(*) FROM raw_events WHERE partition = r.partition AND seq > r.after AND seq <= r.until) AS events
      FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS r(partition, after, until, position)
      ORDER BY position`,
    values: [ranges.map((r) => r.partition), ranges.map((r) => r.after), ranges.map((r) => r.until)],
  })
  return rows.map((row) => row.events)
}

/** Resolves with the highest seq of each of these partitions; 0 if there is no event. */
export async function readLastSeqs(db: Queryable, partitions: readonly number[]): Promise<number[]> {
  const { rows } = await db.query({
    name: 'read-last-seqs',
    text: `
      SELECT coalesce((SELECT seq FROM raw_events WHERE partition = p.id ORDER BY seq DESC LIMIT 1), 0) AS last
      FROM unnest($1::smallint[]) WITH ORDINALITY AS p(id, position) ORDER BY position`,
    values: [partitions],
  })
  return rows.map((row) => row.last)
}

/**
 * Resolves with the highest *final* seq of each of these partitions: no event with a lower one can appear any more.
 *
 * The order of seq is not the order of commit. But a seq is assigned inside the INSERT, which the statement timeout
 * ends, so it was assigned within that time after `accepted_at`, the start of its transaction. An event with a lower
 * seq began before that, and is visible or rolled back, unless its COMMIT hangs or it was emitted in a long transaction:
 * then that transaction is still among those that accept events. A transaction that has written has an id by then; one
 * that only reads, perhaps for long because its reader is frozen, is ignored. If we may not see since when a transaction that has written runs (it
 * belongs to another role and ours lacks pg_read_all_stats, or the server does not track activities), it may have begun
 * before every event. Then nothing is final until it has ended.
 */
export async function readFinalSeqs(db: Queryable, partitions: readonly number[]): Promise<number[]> {
  const { rows } = await db.query({
    name: 'read-final-seqs',
    text: `
      WITH accepting AS (SELECT least(now(), min(CASE WHEN xact_start IS NULL AND state IS DISTINCT FROM 'idle' THEN '-infinity'
                                                      ELSE xact_start END)) AS since FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name = ANY($3) AND backend_xid IS NOT NULL)
      SELECT coalesce((SELECT seq FROM raw_events
                       WHERE partition = p.id AND accepted_at < since - $2 * interval '1 millisecond'
                       ORDER BY seq DESC LIMIT 1), 0) AS final
      FROM accepting, unnest($1::smallint[]) WITH ORDINALITY AS p(id, position) ORDER BY position`,
    values: [partitions, FINAL_AFTER_MS, ACCEPTING_APPLICATIONS],
  })
  return rows.map((row) => row.final)
}

/** The statement timeout, and a margin for clock changes. */
const FINAL_AFTER_MS = 2 * STATEMENT_TIMEOUT_MS
