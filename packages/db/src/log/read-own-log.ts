/**
 * Reads the log for a tenant. Postgres shows the tenant only its own entries, and would scan all others in between
 * before it has found enough. So the service counts off a limited stretch of each partition first, and the tenant reads
 * its entries in there. Both happen in one transaction, which keeps retention from removing entries in between.
 */
import { becomeTenant } from '../server/as-tenant.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { asMoment } from '../server/moments.js'
import { entryOf, firstEntries, LOG_COLUMNS, type LogEntry, type LogPage, type LogPlace, placesOf } from './read-log.js'

/** The entries of all partitions that a page scans, of all tenants together. */
const SCANNED = 10_000

/** What a page may have at most; it has at least one event if there is one in the stretch. */
export interface OwnPageLimits {
  /** Only events of these types. All, if undefined. */
  types?: readonly string[] | undefined
  /** The most events of all partitions together. */
  limit: number
  /** The most bytes of their data together. */
  bytes: number
}

/** Retention has removed entries after one of the places. */
export class LogRemovedError extends Error {
  override name = 'LogRemovedError'
  readonly partition: number

  constructor(partition: number) {
    super(`entries of the log of partition ${partition} after this position were removed`)
    this.partition = partition
  }
}

const READ_STRETCHES = `
  SELECT place.after < low_position AS removed, coalesce(stretch.until, place.after) AS until, stretch.scanned
  FROM ${placesOf()}
  JOIN log_starts USING (partition)
  CROSS JOIN LATERAL (
    SELECT max(position) AS until, count(*) AS scanned FROM ${firstEntries('position')} e) stretch
  ORDER BY place.number`

/** An entry of the tenant $4 in a stretch. */
const OWN = 'position <= place.until AND tenant_id = $4'

// The data is read only of the entries that the page may have.
const READ_OWN_LOG = `
  SELECT s.*, ${asMoment('coalesce(s.occurred_at, r.occurred_at)')} AS occurred,
         r.external_id, r.source, r.causation_id, r.traceparent, r.extensions, coalesce(r.hops, 0) AS hops
  FROM (
    SELECT *, sum(octet_length(payload)) OVER (ORDER BY number, position ROWS UNBOUNDED PRECEDING) - octet_length(payload) AS before
    FROM (
      SELECT number, partition, ${LOG_COLUMNS}, payload::text AS payload, found
      FROM (
        SELECT place.number, place.partition, e.*, count(*) OVER () AS found
        FROM ${placesOf({ name: 'until', values: '$6::bigint[]' })}
        CROSS JOIN LATERAL ${firstEntries(
          `${LOG_COLUMNS}, payload`,
          `${OWN} AND ($5::text[] IS NULL OR type = ANY($5))`,
        )} e
        ORDER BY place.number, e.position LIMIT $3) e) e) s
  LEFT JOIN LATERAL (SELECT * FROM raw_events WHERE partition = s.partition AND seq = s.seq OFFSET 0) r ON true
  WHERE s.before < $7
  ORDER BY s.number, s.position`

const COUNT_OWN_LOG = `
  SELECT behind.* FROM ${placesOf({ name: 'until', values: '$5::bigint[]' })}
  CROSS JOIN LATERAL (
    SELECT count(DISTINCT position) AS events,
           coalesce(greatest(extract(epoch FROM now() - min(processed_at)), 0), 0)::float8 AS seconds
    FROM ${firstEntries('position, processed_at', OWN)} e) behind
  ORDER BY place.number`

/**
 * Resolves with the next entries of a tenant in each partition. The page is filled place by place, in the order in
 * which they are given, so give the one with the lowest position first. Rejects with LogRemovedError if retention has
 * removed entries after a place.
 */
export async function readOwnLog(
  db: Db,
  tenantId: string,
  places: readonly LogPlace[],
  limits: OwnPageLimits,
): Promise<LogPage[]> {
  const each = Math.ceil(SCANNED / places.length)
  const read = await withTransaction(db, async (tx) => {
    const stretches = await readStretches(tx, places, each)
    const gone = stretches.findIndex(({ removed }) => removed)
    if (gone >= 0) return places[gone]!.partition
    await becomeTenant(tx, tenantId)
    return readEntries(tx, tenantId, { places, stretches, each }, limits)
  })
  if (typeof read === 'number') throw new LogRemovedError(read)
  return read
}

interface Stretch {
  removed: boolean
  until: number
  scanned: number
}

async function readStretches(tx: Queryable, places: readonly LogPlace[], each: number): Promise<Stretch[]> {
  const { rows } = await tx.query({
    name: 'read-log-stretches',
    text: READ_STRETCHES,
    values: [places.map(({ partition }) => partition), places.map(({ after }) => after), each],
  })
  return rows
}

async function readEntries(
  tx: Queryable,
  tenantId: string,
  { places, stretches, each }: { places: readonly LogPlace[]; stretches: readonly Stretch[]; each: number },
  { types, limit, bytes }: OwnPageLimits,
): Promise<LogPage[]> {
  const { rows } = await tx.query({
    name: 'read-own-log',
    text: READ_OWN_LOG,
    values: [
      places.map(({ partition }) => partition),
      places.map(({ after }) => after),
      limit,
      tenantId,
      types ?? null,
      stretches.map(({ until }) => until),
      bytes,
    ],
  })
  const pages = places.map((): LogEntry[] => [])
  for (const row of rows) {
    const page = pages[row.number - 1]!
    // An event that has just been processed again is in both tables.
    if (page.at(-1)?.position !== row.position) page.push(entryOf(row))
  }
  // Beyond the last row of a page that was cut, or may have been, nothing is known.
  const isCut = rows.length > 0 && (rows.length < rows[0].found || rows.length === limit)
  const cutIn = isCut ? rows.at(-1).number - 1 : places.length
  return pages.map((entries, i): LogPage => {
    const { until, scanned } = stretches[i]!
    if (i < cutIn) return { entries, reached: until, more: scanned === each }
    return { entries, reached: entries.at(-1)?.position ?? places[i]!.after, more: true }
  })
}

/** What is after a place. */
export interface Behind {
  /** Retention has removed entries after it. */
  removed: boolean
  /** The tenant's events, as far as they were counted. */
  events: number
  /** There are later entries, which were not counted. */
  more: boolean
  /** Since when the first of these events has been in the log, in seconds; 0 if there is none. */
  seconds: number
}

/** Counts the events of a tenant after each place, among a limited number of entries. */
export function countOwnLog(db: Db, tenantId: string, places: readonly LogPlace[]): Promise<Behind[]> {
  const each = Math.ceil(SCANNED / places.length)
  return withTransaction(db, async (tx) => {
    const stretches = await readStretches(tx, places, each)
    await becomeTenant(tx, tenantId)
    const { rows } = await tx.query({
      name: 'count-own-log',
      text: COUNT_OWN_LOG,
      values: [
        places.map(({ partition }) => partition),
        places.map(({ after }) => after),
        each,
        tenantId,
        stretches.map(({ until }) => until),
      ],
    })
    return rows.map((row, i) => ({ ...row, removed: stretches[i]!.removed, more: stretches[i]!.scanned === each }))
  })
}
