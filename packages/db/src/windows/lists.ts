/** What a tenant has in windows and joins: results, open windows, late events, and events that wait in joins. */
import { NEVER } from '@eventflow/core'
import { asTenant } from '../server/as-tenant.js'
import type { Db } from '../server/connect.js'
import { asMoment, microsAsMoment } from '../server/moments.js'

/** Rows of a tenant in a window or a join, in its current generation. */
export interface StatefulRows {
  group: { groupId: number; generation: number }
  tenantId: string
}

/** With a key also its partition, so that the others need not be read. */
export interface KeyFilter {
  key?: string
  partition?: number
}

/** A page of a list in the order of several columns; `after` has the values of the row to continue from. */
export interface PlacePage {
  after: readonly string[] | undefined
  limit: number
}

// biome-ignore lint/suspicious/noExplicitAny: a row of a table, passed on as JSON.
type Row = Record<string, any>

/** A page of rows; `next` is the place of the last one, `null` if there are no more. */
export interface PlacedRows {
  rows: Row[]
  next: string[] | null
}

/** A page ends early when its rows have so many bytes of JSON: states and results may be large. */
const PAGE_BYTES = 1_000_000

/** Leaves out what is too much for a page. `chosen` has the columns of the order, and the `size` of each row. */
const inBytes = (chosen: string, order: string) => `
  SELECT * FROM (SELECT c.*, count(*) OVER () AS found,
                        sum(size) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - size AS before_it
                 FROM (${chosen}) c) p
  WHERE before_it < ${PAGE_BYTES} ORDER BY ${order}`

function placed(rows: Row[], limit: number, placeOf: (row: Row) => string[]): PlacedRows {
  const last = rows.at(-1)
  return { rows, next: last && (last.found === limit || last.found > rows.length) ? placeOf(last) : null }
}

// For a key both orders are the same. Its results are found by the primary key, the others by their end.
const RESULTS = (order: string, chosen: string) =>
  inBytes(
    `SELECT key, start_at, end_at, ${asMoment('start_at')} AS start, ${asMoment('end_at')} AS "end", partition, result,
            closed_at, octet_length(result::text) AS size
     FROM window_results
     WHERE group_id = $1 AND generation = $2 AND tenant_id = $3
       AND ($4::timestamptz IS NULL OR end_at > $4) AND ($5::timestamptz IS NULL OR end_at <= $5) AND ${chosen}
     ORDER BY ${order} LIMIT $6`,
    order,
  )
const ALL_RESULTS = RESULTS(
  'end_at DESC, key DESC, start_at DESC',
  '($7::timestamptz IS NULL OR (end_at, key, start_at) < ($7, $8, $9::timestamptz))',
)
const RESULTS_OF_KEY = RESULTS('start_at DESC', 'key = $7 AND ($8::timestamptz IS NULL OR start_at < $8)')

/** Results of windows that end after `from` and not after `to`, RFC 3339. */
export interface ResultFilter {
  key?: string
  from?: string
  to?: string
}

/** Resolves with results of a window, those of the latest windows first. */
export async function listWindowResults(
  db: Db,
  { group, tenantId }: StatefulRows,
  { key, from, to }: ResultFilter,
  { after = [], limit }: PlacePage,
): Promise<PlacedRows> {
  const [end, afterKey, start] = after
  const values = [group.groupId, group.generation, tenantId, from, to, limit]
  const { rows } = await asTenant(db, tenantId, (tx) =>
    key === undefined
      ? tx.query(ALL_RESULTS, [...values, end, afterKey, start])
      : tx.query(RESULTS_OF_KEY, [...values, key, start]),
  )
  return placed(rows, limit, (row) => [row.end, row.key, row.start])
}

// By key, as in the primary key: many windows close at the same time.
const OPEN_ORDER = 'key, start_at, first_open'

const OPEN_WINDOWS = inBytes(
  `SELECT w.*, ${microsAsMoment('start_at')} AS start, ${microsAsMoment('end_at')} AS "end",
          ${microsAsMoment('close_at')} AS closes_at, octet_length(state::text) AS size
   FROM partitions p CROSS JOIN LATERAL (
     SELECT partition, key, start_at, end_at, close_at, first_open, state FROM window_state s
     WHERE s.group_id = $1 AND s.generation = $2 AND s.partition = p.id AND s.tenant_id = $3
       AND ($4::text IS NULL OR s.key = $4)
       AND ($7::text IS NULL OR (key, start_at, first_open) > ($7, $8::bigint, $9::bigint))
     ORDER BY ${OPEN_ORDER} LIMIT $6) w
   WHERE $5::smallint IS NULL OR p.id = $5 ORDER BY ${OPEN_ORDER} LIMIT $6`,
  OPEN_ORDER,
)

/**
 * Resolves with the panes and sessions of windows that are not closed, with the states of their aggregates, by
 * key.
 */
export async function listOpenWindows(
  db: Db,
  { group, tenantId }: StatefulRows,
  { key, partition }: KeyFilter,
  { after = [], limit }: PlacePage,
): Promise<PlacedRows> {
  const [afterKey, startAt, firstOpen] = after
  const place = [afterKey, startAt, firstOpen]
  const values = [group.groupId, group.generation, tenantId, key, partition, limit, ...place]
  const { rows } = await asTenant(db, tenantId, (tx) => tx.query(OPEN_WINDOWS, values))
  return placed(rows, limit, (row) => [row.key, `${row.start_at}`, `${row.first_open}`])
}

/** Events that occurred at `from` or later and before `to`, RFC 3339. */
export interface LateFilter {
  type?: string
  key?: string
  from?: string
  to?: string
}

/**
 * Resolves with events that came too late, the last accepted first; `before` is the `seq` to continue from. There is no
 * index by type, key or time: to read 100,000 rows for a filter that none matches took 0.2 s on a busy machine, and late
 * events are few.
 */
export async function listLateEvents(
  db: Db,
  { group, tenantId }: StatefulRows,
  { type, key, from, to }: LateFilter,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<Row[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `SELECT seq, event_id, type, key, partition, ${asMoment('occurred_at')} AS time,
              ${asMoment('watermark')} AS watermark, recorded_at
       FROM late_events
       WHERE group_id = $1 AND generation = $2 AND tenant_id = $3 AND ($4::text IS NULL OR type = $4)
         AND ($5::text IS NULL OR key = $5) AND ($6::timestamptz IS NULL OR occurred_at >= $6)
         AND ($7::timestamptz IS NULL OR occurred_at < $7) AND ($8::bigint IS NULL OR seq < $8)
       ORDER BY seq DESC LIMIT $9`,
      [group.groupId, group.generation, tenantId, type, key, from, to, before, limit],
    ),
  )
  return rows
}

const WAITING_ORDER = 'key, side, at, seq'

// The id and the type of an event are in the log. A row that waits for ever has no time.
const WAITING = `
  SELECT w.*, e.event_id, e.type, ${microsAsMoment('at')} AS time, ${microsAsMoment(`nullif(expires_at, ${NEVER})`)} AS expires
  FROM (SELECT r.* FROM partitions p CROSS JOIN LATERAL (
          SELECT partition, key, side, at, seq, expires_at, matched FROM join_rows s
          WHERE s.group_id = $1 AND s.generation = $2 AND s.partition = p.id AND s.tenant_id = $3
            AND ($4::text IS NULL OR s.key = $4) AND ($5::text IS NULL OR s.side = $5)
            AND ($8::text IS NULL OR (key, side, at, seq) > ($8, $9, $10::bigint, $11::bigint))
          ORDER BY ${WAITING_ORDER} LIMIT $7) r
        WHERE $6::smallint IS NULL OR p.id = $6 ORDER BY ${WAITING_ORDER} LIMIT $7) w
  LEFT JOIN LATERAL (SELECT event_id, type FROM processed_events p WHERE p.seq = w.seq) e ON true
  ORDER BY ${WAITING_ORDER}`

/** Resolves with events that wait in a join, by key. */
export async function listJoinRows(
  db: Db,
  { group, tenantId }: StatefulRows,
  { key, partition, side }: KeyFilter & { side?: 'left' | 'right' },
  { after = [], limit }: PlacePage,
): Promise<PlacedRows> {
  const [afterKey, afterSide, at, seq] = after
  const place = [afterKey, afterSide, at, seq]
  const values = [group.groupId, group.generation, tenantId, key, side, partition, limit, ...place]
  const { rows } = await asTenant(db, tenantId, (tx) => tx.query(WAITING, values))
  const next = rows.length === limit ? rows.at(-1)! : undefined
  return { rows, next: next ? [next.key, next.side, next.at, next.seq].map(String) : null }
}
