/** Removes what windows and joins have written a long time ago. */
import type { Db } from '../server/connect.js'

const REMOVE = (table: string, column: string) => `
  DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM ${table} WHERE ${column} < now() - $1 * interval '1 day' ORDER BY ${column} LIMIT $2
    FOR UPDATE SKIP LOCKED))`

/**
 * Removes results of windows that were closed, and late events that were recorded, more than `days` ago: at most `limit`
 * of each. Resolves with how many were removed, and whether there may be more.
 */
export async function removeStateHistory(
  db: Db,
  days: number,
  limit: number,
): Promise<{ results: number; lateEvents: number; more: boolean }> {
  const remove = async (table: string, column: string) =>
    (await db.query(REMOVE(table, column), [days, limit])).rowCount ?? 0
  const results = await remove('window_results', 'closed_at')
  const lateEvents = await remove('late_events', 'recorded_at')
  return { results, lateEvents, more: results === limit || lateEvents === limit }
}
