/** What is accepted and not settled: the work list as Postgres knows it. */
import type { RawEvent } from '@eventflow/core'
import { INGEST_APPLICATION, type Queryable, STATEMENT_TIMEOUT_MS } from '../server/connect.js'
import { bigintColumn } from './columns.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'
import { IS_UNDELIVERED } from './settled.js'

/** A part of a partition to look into: seq above `after`, up to `until`. */
export interface Range {
  partition: number
  after: number
  until: number
}

/** A range of which only some tenants' events are looked for. */
export interface TenantsRange extends Range {
  /** The one tenant whose events they are; without it, those of all tenants but the `others`. */
  tenantId: string | undefined
  others: readonly string[]
}

// It has to go along the index in order, and to stop at the limit. So the tenants are compared within CASE, where no other
// index helps; and the limit comes with the range: if it were known to be more than the rows that are expected, Postgres would
// rather look at all of them and sort.
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
      AND ${IS_UNDELIVERED}
    ORDER BY e.seq LIMIT range.events) e) r
  WHERE r.before < $8
  ORDER BY range.number, r.seq`

/**
 * The first unsettled events of each range, at most `limit` of each and no more once their data has `bytes`, in the order of
 * acceptance; `more`: there may be more in the range. `except` are the seqs of
 * events in the caller's hands. What waits in `retries` is not among them. All of one snapshot: whoever sees an event here
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

/** What has come, of whichever partition. */
export interface Arrivals {
  /** The last seq that was drawn. */
  lastSeq: number
  /** There is more than one that may send. */
  severalTenants: boolean
}

export async function readArrivals(db: Queryable): Promise<Arrivals> {
  const { rows } = await db.query({
    name: 'read-arrivals',
    text: `
      SELECT last_value AS last_seq, (SELECT count(*) > 1 FROM (SELECT FROM tenants LIMIT 2) t) AS several_tenants
      FROM raw_events_seq_seq`,
  })
  return { lastSeq: rows[0].last_seq, severalTenants: rows[0].several_tenants }
}

/** How many events there are in each range, settled or not. Reads the index only, where Postgres knows its pages well. */
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

/** The highest seq of each of these partitions; 0 where there is no event. */
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
 * For each of these partitions the highest seq that is *final*: no event with a lower one can appear any more.
 *
 * The order of seq is not the order of commit. But a seq is drawn inside the INSERT, which the statement timeout ends,
 * so it was drawn within that time after `accepted_at`, the start of its transaction. An event with a lower seq began
 * before that, and is visible or gone, unless its COMMIT hangs: then it is still among the transactions of those that
 * accept events. One that has written has an id by then; one that only reads, and may do so for long if its reader is
 * frozen, is passed over. Where we may not see since when one runs that has written (it is another role's, and ours
 * lacks pg_read_all_stats; or the server does not track activities), it may have begun before every event: nothing is
 * final until it has ended.
 */
export async function readFinalSeqs(db: Queryable, partitions: readonly number[]): Promise<number[]> {
  const { rows } = await db.query({
    name: 'read-final-seqs',
    text: `
      WITH accepting AS (SELECT least(now(), min(CASE WHEN xact_start IS NULL AND state IS DISTINCT FROM 'idle' THEN '-infinity'
                                                      ELSE xact_start END)) AS since FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name = $3 AND backend_xid IS NOT NULL)
      SELECT coalesce((SELECT seq FROM raw_events
                       WHERE partition = p.id AND accepted_at < since - $2 * interval '1 millisecond'
                       ORDER BY seq DESC LIMIT 1), 0) AS final
      FROM accepting, unnest($1::smallint[]) WITH ORDINALITY AS p(id, position) ORDER BY position`,
    values: [partitions, FINAL_AFTER_MS, INGEST_APPLICATION],
  })
  return rows.map((row) => row.final)
}

/** The statement timeout and a margin for clocks that are set. */
const FINAL_AFTER_MS = 2 * STATEMENT_TIMEOUT_MS
