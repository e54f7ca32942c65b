/** Counts entries of the log as a group chooses them, at a bounded cost. */
import type { Queryable } from '../server/connect.js'

/** The entries of a partition above `after`, up to `until`, that a group reads. */
export interface Stretch {
  groupId: number
  partition: number
  after: number
  until: number
}

export interface StretchCount {
  events: number
  /** There may be more events behind the entries that were looked at. */
  more: boolean
  /**
   * Seconds since the first of these events was settled; if there is none among the entries that were looked at, and
   * there are more, since the last of those entries. 0 if there are no events.
   */
  ageSeconds: number
}

/** The highest position. */
export const NO_END = Number.MAX_SAFE_INTEGER

/** The most entries that are looked at in all stretches together, and at least and at most in each. */
const LOOKED_AT = 100_000
const LEAST_EACH = 20
const MOST_EACH = 10_000

// Postgres must take the entries from the indexes in their order, and not sort all of them. So each table is limited by
// itself; the upper end is compared later, since few entries are expected between two bounds; and the limit is not known
// to the planner, which would sort if it expected fewer entries than that.
const ENTRIES = (table: string) => `
  (SELECT position, processed_at, type, tenant_id FROM ${table}
   WHERE partition = s.partition AND position > s.after ORDER BY position LIMIT (SELECT $5::integer))`

// The choice is made after the limit, so that each stretch scans a limited number of entries; hence not as the role of
// a tenant, whose policy would choose before it. An event that is processed again may be in both tables.
const COUNT = `
  SELECT c.*
  FROM (SELECT given.*, g.types, CASE g.kind WHEN 'external' THEN g.tenant_id END AS only_tenant
        FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[])
          WITH ORDINALITY AS given(group_id, partition, after, until, number)
        JOIN consumer_groups g USING (group_id) OFFSET 0) AS s
  CROSS JOIN LATERAL (
    SELECT s.number, count(DISTINCT position) FILTER (WHERE chosen) AS events, count(*) AS scanned,
           extract(epoch FROM now() - min(processed_at) FILTER (WHERE chosen))::float8 AS age,
           extract(epoch FROM now() - max(processed_at))::float8 AS age_of_last
    FROM (SELECT position, processed_at,
                 (s.types = '{}' OR type = ANY(s.types)) AND (s.only_tenant IS NULL OR tenant_id = s.only_tenant) AS chosen
          FROM (${ENTRIES('processed_events')} UNION ALL ${ENTRIES('log_replaying')}) both_tables
          ORDER BY position LIMIT (SELECT $5::integer)) looked_at
    WHERE position <= s.until) c`

/** Resolves with the counts of these stretches, in their order. */
export async function countStretches(db: Queryable, stretches: readonly Stretch[]): Promise<StretchCount[]> {
  const counts = stretches.map((): StretchCount => ({ events: 0, more: false, ageSeconds: 0 }))
  if (stretches.length === 0) return counts
  const limit = Math.min(MOST_EACH, Math.max(LEAST_EACH, Math.floor(LOOKED_AT / stretches.length)))
  const { rows } = await db.query({
    text: COUNT,
    values: [
      stretches.map((s) => s.groupId),
      stretches.map((s) => s.partition),
      stretches.map((s) => s.after),
      stretches.map((s) => s.until),
      limit,
    ],
  })
  for (const { number, events, scanned, age, age_of_last: ageOfLast } of rows) {
    const more = scanned >= limit
    // The clock may have been set back since.
    const ageSeconds = Math.max(0, age ?? (more ? ageOfLast : 0))
    counts[number - 1] = { events, more, ageSeconds }
  }
  return counts
}
