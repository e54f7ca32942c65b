/** What is new in the log, for all who wait for it together. */
import type { Queryable } from '../server/connect.js'
import { firstEntries, type LogPlace, placesOf } from './read-log.js'

/** The most entries of a partition that are looked at together. */
const LOOKED_AT = 1_000

/** New entries of a partition, of one tenant and type. */
export interface LogNews {
  partition: number
  tenantId: string
  type: string
  /** The position of the last of them. */
  position: number
}

/**
 * Resolves with the last position that was drawn, in any partition. While it stays the same, nothing new is written; but
 * a transaction that has drawn it may not be committed yet.
 */
export async function readLastDrawn(db: Queryable): Promise<number> {
  const { rows } = await db.query({
    name: 'read-last-drawn',
    text: `SELECT coalesce(pg_sequence_last_value('log_position'), 0) AS last`,
  })
  return rows[0].last
}

/** Resolves with what is new after each place. If there is much, it is the first part of it. */
export async function readLogNews(db: Queryable, places: readonly LogPlace[]): Promise<LogNews[]> {
  const { rows } = await db.query({
    name: 'read-log-news',
    text: `
      SELECT place.partition, tenant_id AS "tenantId", type, max(position) AS position
      FROM ${placesOf()} CROSS JOIN LATERAL ${firstEntries('position, tenant_id, type')} e
      GROUP BY place.partition, tenant_id, type`,
    values: [places.map(({ partition }) => partition), places.map(({ after }) => after), LOOKED_AT],
  })
  return rows
}
