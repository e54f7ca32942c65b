/** How much windows and joins hold, and how far their event time has come. */
import type { Queryable } from '../server/connect.js'
import { microsAsMoment, momentOf } from '../server/moments.js'

/** A group, of which only a window or a join has figures. */
interface Group {
  groupId: number
  kind: string
  generation: number
  building: number | null
  outOfOrderness: number | null
  idle: number | null
}

/** What a window or a join holds, in its current generation. Rows are counted up to a maximum. */
export interface StateFigures {
  /** Rows of `window_state`: panes and sessions. */
  openWindows: number
  results: number
  /** Rows of `join_rows`. */
  waiting: number
  lateEvents: number
  /** The lowest and the highest watermark of each partition, RFC 3339. A partition without events has none. */
  watermarks: { partition: number; min: string; max: string }[]
  /**
   * Seconds from the lowest watermark to now, where a window should have been closed, or a row of a join have expired,
   * by the clock; 0 if there is none. `null` if nothing closes without later events.
   */
  lagSeconds: number | null
  /** Where the watermark is that lags. */
  lagging: { partition: number; tenantId: string } | null
}

/** Up to how many rows of each kind are counted, in lists. */
const MAX_COUNTED = 10_000

/** About the row `s`: of the group `g`, and of the tenant $5 if it is given. The partitions lead its index to them. */
const CHOSEN = (table: string) => `
  FROM ${table} s
  WHERE s.group_id = g.group_id AND s.generation = g.generation
    AND ($5::text IS NULL OR s.tenant_id = $5 AND s.partition = ANY(ARRAY(SELECT id FROM partitions)))`

const COUNT = (table: string) => `(SELECT count(*) FROM (SELECT ${CHOSEN(table)} LIMIT $6) counted)`

// What is due by the clock, less the out-of-orderness, which every watermark has to wait for.
const DUE = (table: string, column: string) => `
  EXISTS (SELECT FROM ${table} d
          WHERE d.group_id = s.group_id AND d.generation = s.generation AND d.partition = s.partition
            AND d.tenant_id = s.tenant_id
            AND d.${column} <= (extract(epoch FROM now()) * 1000000)::bigint - g.out_of_orderness)`

const FIGURES = `
  SELECT g.group_id AS "groupId",
         ${COUNT('window_state')} AS "openWindows", ${COUNT('window_results')} AS results,
         ${COUNT('join_rows')} AS waiting, ${COUNT('late_events')} AS "lateEvents",
         (SELECT json_agg(w ORDER BY w.partition)
          FROM (SELECT partition, ${microsAsMoment('min(watermark)')} AS min, ${microsAsMoment('max(watermark)')} AS max
                ${CHOSEN('group_watermarks')} AND watermark IS NOT NULL GROUP BY partition) w) AS watermarks,
         lag.*
  FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::boolean[])
       AS g(group_id, generation, out_of_orderness, closes_idle)
  LEFT JOIN LATERAL (
    SELECT partition, tenant_id AS "tenantId",
           extract(epoch FROM now())::float8 - watermark / 1000000.0::float8 AS "lagSeconds"
    ${CHOSEN('group_watermarks')} AND g.closes_idle AND watermark IS NOT NULL
      AND (${DUE('window_state', 'close_at')} OR ${DUE('join_rows', 'expires_at')})
    ORDER BY watermark LIMIT 1) lag ON true`

/** Resolves with the figures of these windows and joins, by their ids; those of one tenant if it is given. */
export async function readFiguresOf(
  db: Queryable,
  groups: readonly Group[],
  { tenantId, max = MAX_COUNTED }: { tenantId?: string; max?: number } = {},
): Promise<Map<number, StateFigures>> {
  const stateful = groups.filter(({ kind }) => kind === 'window' || kind === 'join')
  if (stateful.length === 0) return new Map()
  const { rows } = await db.query(FIGURES, [
    stateful.map(({ groupId }) => groupId),
    stateful.map(({ generation }) => generation),
    stateful.map(({ outOfOrderness }) => outOfOrderness ?? 0),
    stateful.map(({ idle }) => idle !== null),
    tenantId,
    max,
  ])
  const closesIdle = new Map(stateful.map(({ groupId, idle }) => [groupId, idle !== null]))
  return new Map(
    rows.map(({ groupId, partition, tenantId: of, lagSeconds, watermarks, ...counts }) => [
      groupId,
      {
        ...counts,
        watermarks: ((watermarks ?? []) as StateFigures['watermarks']).map(
          ({ partition: number, min, max: highest }) => ({
            ...{ partition: number, min: momentOf(min), max: momentOf(highest) },
          }),
        ),
        // The clock may have been set back since.
        lagSeconds: closesIdle.get(groupId) ? Math.max(0, lagSeconds ?? 0) : null,
        lagging: partition === null ? null : { partition, tenantId: of },
      },
    ]),
  )
}

/** How far the generation that is built has come, from 0 to 1. */
export interface Building {
  generation: number
  share: number
}

/** Resolves with the generations that are being built, by the ids of their groups. */
export async function readBuilding(db: Queryable, groups: readonly Group[]): Promise<Map<number, Building>> {
  const building = groups.filter((group) => group.building !== null)
  if (building.length === 0) return new Map()
  const { rows } = await db.query(
    `SELECT b.group_id AS "groupId", b.generation,
            coalesce(sum(b.position - b.began) / nullif(sum(greatest(c.position, b.position) - b.began), 0), 1)::float8 AS share
     FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS g(group_id, current, generation)
     JOIN group_cursors b USING (group_id, generation)
     JOIN group_cursors c ON c.group_id = b.group_id AND c.generation = g.current AND c.partition = b.partition
     GROUP BY b.group_id, b.generation`,
    [
      building.map(({ groupId }) => groupId),
      building.map(({ generation }) => generation),
      building.map((group) => group.building),
    ],
  )
  return new Map(rows.map(({ groupId, generation, share }) => [groupId, { generation, share }]))
}
