/**
 * The marks of the log: entries that are no events. They have positions among those of the events, so all that readers
 * do with time depends on the log only. Times are microseconds since 1970.
 *
 * The holds that are not released are also in `log_holds`, for the owner of the partition.
 */
import { smallintColumn, textColumn } from '../ledger/columns.js'
import type { Queryable } from '../server/connect.js'
import type { LogPage, LogPlace } from './read-log.js'

/** An entry of the log that is no event. */
export interface LogMark {
  partition: number
  position: number
  tenantId: string
  /**
   * `hold`: an event of the time `at` waits, and later ones of the tenant are settled before it. `release`: none waits
   * any more. `tick`: all events that were accepted up to `at` are settled.
   */
  kind: 'hold' | 'release' | 'tick'
  /** The earlier of the two times of the event of a hold, or the time of a tick; undefined for a release. */
  at: bigint | undefined
  /** Of a tick: since when the pipeline was seen to accept and to settle without a break. */
  seenSince: bigint | undefined
}

/** The marks that belong to a page of the log. */
export interface MarkPage {
  /** In the order of their positions. */
  marks: LogMark[]
  /**
   * The entries of the page and these marks are all that there is up to this position. It is beyond what the page has
   * reached if marks follow its last entry. It is before it if there are too many marks: leave out the later entries.
   */
  reached: number
  /** There may be later entries or marks. */
  more: boolean
}

/** The most marks of a place. */
const MARKS_AT_ONCE = 1_000

const NEXT_ENTRY = (table: string) =>
  `(SELECT position FROM ${table} WHERE partition = place.partition AND position > place.reached ORDER BY position LIMIT 1)`

// The page is older than this statement, so entries may follow that it lacks: marks behind them must wait for these.
// An entry that this statement does not see has a higher position than all that it sees.
const READ_MARKS = `
  SELECT place.number, place.partition, m.position, m.tenant_id, m.kind, m.at::text, m.seen_since::text
  FROM (SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::boolean[],
                             array_fill($5::integer, ARRAY[cardinality($1)]))
          WITH ORDINALITY AS given(partition, after, reached, more, marks, number) OFFSET 0) AS place
  CROSS JOIN LATERAL (
    SELECT position, tenant_id, kind, at, seen_since FROM log_marks
    WHERE partition = place.partition AND position > place.after
      AND position <= CASE WHEN place.more THEN place.reached
                           ELSE coalesce(least(${NEXT_ENTRY('processed_events')}, ${NEXT_ENTRY('log_replaying')}),
                                         9223372036854775807) END
    ORDER BY position LIMIT place.marks) m
  ORDER BY place.number, m.position`

/**
 * Resolves with the marks of pages that `readLog` has just returned, one result for each page: those up to its last
 * entry and, if the page has reached the end of the log, those behind it. At most 1,000 a page.
 */
export async function readMarks(
  db: Queryable,
  pages: readonly (LogPlace & Pick<LogPage, 'reached' | 'more'>)[],
): Promise<MarkPage[]> {
  const { rows } = await db.query({
    name: 'read-marks',
    text: READ_MARKS,
    values: [
      pages.map(({ partition }) => partition),
      pages.map(({ after }) => after),
      pages.map(({ reached }) => reached),
      pages.map(({ more }) => more),
      MARKS_AT_ONCE,
    ],
  })
  const found = pages.map((): LogMark[] => [])
  for (const row of rows) found[row.number - 1]!.push(markOf(row))
  return pages.map(({ reached, more }, i) => {
    const marks = found[i]!
    const last = marks.at(-1)?.position ?? 0
    if (marks.length === MARKS_AT_ONCE) return { marks, reached: last, more: true }
    return { marks, reached: Math.max(reached, last), more }
  })
}

const microsIn = (text: string | null) => (text === null ? undefined : BigInt(text))

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns of READ_MARKS.
function markOf({ partition, position, tenant_id, kind, at, seen_since }: any): LogMark {
  return { partition, position, tenantId: tenant_id, kind, at: microsIn(at), seenSince: microsIn(seen_since) }
}

/**
 * Resolves with the holds of these tenants that are in force at a position: a reader that begins behind it needs them.
 * Tenants without one are left out.
 */
export async function readHoldsAt(
  db: Queryable,
  partition: number,
  tenantIds: readonly string[],
  position: number,
): Promise<Map<string, bigint>> {
  const { rows } = await db.query({
    name: 'read-holds-at',
    text: `
      SELECT tenant_id, m.at::text
      FROM unnest($2::text[]) AS tenant_id
      CROSS JOIN LATERAL (
        SELECT kind, at FROM (
          (${LAST_MARK('hold')}) UNION ALL (${LAST_MARK('release')})) last
        ORDER BY position DESC LIMIT 1) m
      WHERE m.kind = 'hold'`,
    values: [partition, tenantIds, position],
  })
  return new Map(rows.map((row) => [row.tenant_id, BigInt(row.at)]))
}

const LAST_MARK = (kind: 'hold' | 'release') => `
  SELECT kind, at, position FROM log_marks
  WHERE partition = $1 AND log_marks.tenant_id = tenant_id.tenant_id AND kind = '${kind}' AND position <= $3
  ORDER BY position DESC LIMIT 1`

/** Resolves with the holds of partitions that are not released, by partition and tenant. */
export async function readOpenHolds(
  db: Queryable,
  partitions: readonly number[],
): Promise<Map<number, Map<string, bigint>>> {
  const { rows } = await db.query({
    name: 'read-open-holds',
    text: 'SELECT partition, tenant_id, at::text FROM log_holds WHERE partition = ANY($1::smallint[])',
    values: [partitions],
  })
  const open = new Map(partitions.map((partition) => [partition, new Map<string, bigint>()]))
  for (const row of rows) open.get(row.partition)!.set(row.tenant_id, BigInt(row.at))
  return open
}

/** What becomes of the hold of a tenant in a partition: its new time, or undefined if it is released. */
export interface HoldChange {
  partition: number
  tenantId: string
  at: bigint | undefined
}

// A hold that is as given already gets no mark: the transaction may run again after the answer to its COMMIT was lost.
const WRITE_HOLDS = `
  WITH changed AS MATERIALIZED (
    SELECT given.* FROM unnest($1::smallint[], $2::text[], $3::bigint[]) AS given(partition, tenant_id, at)
    LEFT JOIN log_holds h USING (partition, tenant_id) WHERE given.at IS DISTINCT FROM h.at),
  marked AS (
    INSERT INTO log_marks (partition, position, tenant_id, kind, at)
    SELECT partition, nextval('log_position'), tenant_id, CASE WHEN at IS NULL THEN 'release' ELSE 'hold' END, at
    FROM changed),
  released AS (
    DELETE FROM log_holds h USING changed c
    WHERE h.partition = c.partition AND h.tenant_id = c.tenant_id AND c.at IS NULL)
  INSERT INTO log_holds (partition, tenant_id, at) SELECT partition, tenant_id, at FROM changed WHERE at IS NOT NULL
  ON CONFLICT (partition, tenant_id) DO UPDATE SET at = excluded.at`

/**
 * Writes holds and releases into the log. Call it in a transaction that has locked the partitions with the fence: so
 * the order of positions is that of the commits.
 */
export async function writeHolds(tx: Queryable, changes: readonly HoldChange[]): Promise<void> {
  await tx.query({
    name: 'write-holds',
    text: WRITE_HOLDS,
    values: [
      smallintColumn(changes.map(({ partition }) => partition)),
      textColumn(changes.map(({ tenantId }) => tenantId)),
      changes.map(({ at }) => at?.toString() ?? null),
    ],
  })
}
