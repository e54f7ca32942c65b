/**
 * Reads the log: the processed events of a partition in the order of `position`, which is the order of their commits.
 * A reader that sees a position sees all lower ones of its partition.
 *
 * The entry of an event that is being processed again is in `log_replaying` meanwhile, with its position.
 */
import type { RawEvent } from '@eventflow/core'
import type { Queryable } from '../server/connect.js'
import { asMoment, momentOf } from '../server/moments.js'

/** Where to read in a partition: positions above `after`. */
export interface LogPlace {
  partition: number
  after: number
}

/** An entry of the log. The payload of its event is the enriched data. */
export interface LogEntry {
  position: number
  event: RawEvent
  /** When the event was settled. */
  processedAt: Date
}

/** What was read of a partition. */
export interface LogPage {
  entries: LogEntry[]
  /** All entries up to this position were read; those that were not chosen are left out. */
  reached: number
  /** There may be later entries. */
  more: boolean
}

/** A page as groups read it. */
export interface GroupPage extends LogPage {
  /** Entries were removed up to this position; 0 if none were, or if there was nothing to read. */
  low: number
}

export interface LogChoice {
  /** Only events of these types. All, if undefined. */
  types?: readonly string[] | undefined
  /** Only events of this tenant. All, if undefined. */
  tenantId?: string | undefined
}

/** The columns that both tables have. */
export const LOG_COLUMNS = `position, seq, tenant_id, event_id, type, key, correlation_id, accepted_at, occurred_at, processed_at`

/** The places as rows: partitions $1, positions $2, and the most entries to read, $3. `more` is another column. */
export const placesOf = (more?: { name: string; values: string }) => `
  (SELECT * FROM unnest($1::smallint[], $2::bigint[], array_fill($3::integer, ARRAY[cardinality($1)])${more ? `, ${more.values}` : ''})
     WITH ORDINALITY AS given(partition, after, entries${more ? `, ${more.name}` : ''}, number) OFFSET 0) AS place`

const entriesIn = (table: string, columns: string, condition: string) => `
  (SELECT ${columns} FROM ${table} WHERE partition = place.partition AND position > place.after AND ${condition}
   ORDER BY position LIMIT place.entries)`

/**
 * The first entries after a place, those of both tables in their order: with a single ORDER BY, Postgres would read and
 * sort all later entries. An event that has just been processed again is in both.
 */
export const firstEntries = (columns: string, condition = 'true') => `
  (SELECT * FROM (${entriesIn('processed_events', columns, condition)}
                  UNION ALL ${entriesIn('log_replaying', columns, condition)}) both_tables
   ORDER BY position LIMIT place.entries)`

/** The columns that `entryOf` reads, of an entry `s` and its accepted event `r`. */
export const RAW_OF_ENTRY = `
  s.*, ${asMoment('coalesce(s.occurred_at, r.occurred_at)')} AS occurred,
  r.external_id, r.source, r.causation_id, r.traceparent, r.extensions, coalesce(r.hops, 0) AS hops`

// The choice is made after the limit, so that a page scans a limited number of entries.
const READ_LOG = `
  SELECT place.number, place.partition, low_position AS low, ${RAW_OF_ENTRY}
  FROM ${placesOf()}
  JOIN log_starts USING (partition)
  CROSS JOIN LATERAL (
    SELECT *, max(position) FILTER (WHERE before < $6) OVER () AS reached, max(position) OVER () AS last,
           count(*) OVER () AS scanned
    FROM (
      SELECT *, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
      FROM (
        SELECT ${LOG_COLUMNS}, chosen, CASE WHEN chosen THEN payload END AS payload,
               CASE WHEN chosen THEN octet_length(payload) ELSE 0 END AS size
        FROM (
          SELECT ${LOG_COLUMNS}, payload::text AS payload,
                 ($4::text[] IS NULL OR type = ANY($4)) AND ($5::text IS NULL OR tenant_id = $5) AS chosen
          FROM ${firstEntries(`${LOG_COLUMNS}, payload`)} e) e) e) e) s
  LEFT JOIN LATERAL (
    SELECT * FROM raw_events WHERE partition = place.partition AND seq = s.seq AND s.chosen OFFSET 0) r ON true
  WHERE s.before < $6 AND (s.chosen OR s.position = s.reached)
  ORDER BY place.number, s.position`

/**
 * Resolves with the next entries of each place, in one snapshot. It scans at most `limit` entries of each partition,
 * and stops once the data of those that it returns has `bytes` bytes; it returns at least one.
 */
export async function readLog(
  db: Queryable,
  places: readonly LogPlace[],
  { types, tenantId, limit, bytes }: LogChoice & { limit: number; bytes: number },
): Promise<GroupPage[]> {
  const { rows } = await db.query({
    name: 'read-log',
    text: READ_LOG,
    values: [
      places.map((place) => place.partition),
      places.map((place) => place.after),
      limit,
      types ?? null,
      tenantId ?? null,
      bytes,
    ],
  })
  const pages = places.map(({ after }): GroupPage => ({ entries: [], reached: after, more: false, low: 0 }))
  for (const row of rows) {
    const page = pages[row.number - 1]!
    const before = page.entries.at(-1)
    page.reached = row.reached
    page.low = row.low
    page.more = row.scanned >= limit || row.reached < row.last
    // An event that has just been processed again is in both tables.
    if (row.chosen && before?.position !== row.position) page.entries.push(entryOf(row))
  }
  return pages
}

/** Resolves with the last position of each of these partitions, 0 if there is none; and with where its log begins. */
export async function readLogEnds(
  db: Queryable,
  partitions: readonly number[],
): Promise<{ partition: number; last: number; low: number }[]> {
  const { rows } = await db.query({
    name: 'read-log-ends',
    text: `
      SELECT p.id AS partition, low_position AS low,
             greatest(low_position, (SELECT max(position) FROM processed_events WHERE partition = p.id)) AS last
      FROM unnest($1::smallint[]) WITH ORDINALITY AS p(id, number) JOIN log_starts ON log_starts.partition = p.id
      ORDER BY number`,
    values: [partitions],
  })
  return rows
}

/** Converts a row with `partition` and RAW_OF_ENTRY to an entry. */
// biome-ignore lint/suspicious/noExplicitAny: a row has the shape of the statement above.
export function entryOf(row: any): LogEntry {
  const event: RawEvent = {
    seq: row.seq,
    tenantId: row.tenant_id,
    id: row.event_id,
    ...(row.external_id && { externalId: row.external_id }),
    type: row.type,
    source: row.source ?? '/',
    key: row.key,
    partition: row.partition,
    occurredAt: momentOf(row.occurred ?? row.accepted_at.toISOString()),
    acceptedAt: row.accepted_at.toISOString(),
    correlationId: row.correlation_id,
    ...(row.causation_id && { causationId: row.causation_id }),
    ...(row.traceparent && { traceparent: row.traceparent }),
    ...(row.extensions && { extensions: row.extensions }),
    ...(row.hops > 0 && { hops: row.hops }),
    payload: row.payload,
  }
  return { position: row.position, event, processedAt: row.processed_at }
}
