/** What a pipeline still has to do. */
import { countEvents, type Db, type Queryable, withTransaction } from '@eventflow/db'

/**
 * Whether every consumer group, except those that are paused or read over HTTP, has handled all entries of the log that
 * are for it, and none is parked; and every window has closed, and every event of a join has gone, that event time has
 * passed. A cursor may trail for entries of other types.
 */
export async function groupsAreLevel(db: Queryable): Promise<boolean> {
  const { rows } = await db.query(`
    SELECT NOT EXISTS (
      SELECT FROM consumer_groups g JOIN group_cursors c USING (group_id, generation)
      WHERE kind <> 'external' AND paused_for IS NULL AND (
        building IS NOT NULL OR
        EXISTS (SELECT FROM window_state s JOIN group_watermarks w USING (group_id, generation, partition, tenant_id)
                WHERE s.group_id = g.group_id AND s.generation = g.generation AND s.partition = c.partition
                  AND close_at <= watermark) OR
        EXISTS (SELECT FROM join_rows s JOIN group_watermarks w USING (group_id, generation, partition, tenant_id)
                WHERE s.group_id = g.group_id AND s.generation = g.generation AND s.partition = c.partition
                  AND expires_at <= watermark) OR
        EXISTS (SELECT FROM group_parked k WHERE k.group_id = g.group_id)
        OR EXISTS (SELECT FROM processed_events p
                   WHERE p.partition = c.partition AND p.position > c.position AND p.type = ANY(g.types)))) AS level`)
  return rows[0].level
}

/**
 * Whether ticks have ended all windows, and all that waits in joins, for which they count within a minute, except those
 * of events that are ahead by over an hour: then no more results come without events.
 */
export async function windowsAreClosed(db: Queryable): Promise<boolean> {
  const noneIn = (table: string, timer: string) => `NOT EXISTS (
    SELECT FROM consumer_groups g JOIN ${table} USING (group_id, generation)
    WHERE paused_for IS NULL AND idle <= 60000000
      AND ${timer} < extract(epoch FROM now() + interval '1 hour') * 1000000)`
  const { rows } = await db.query(
    `SELECT ${noneIn('window_state', 'close_at')} AND ${noneIn('join_rows', 'expires_at')} AS closed`,
  )
  return rows[0].closed
}

/**
 * Whether every accepted event is settled and the groups are level. In one snapshot: otherwise a group could emit an event
 * between the two answers.
 */
export function everythingIsSettled(db: Db): Promise<boolean> {
  return withTransaction(db, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
    const { unsettled, retrying } = await countEvents(tx)
    return unsettled === 0 && retrying === 0 && (await groupsAreLevel(tx))
  })
}
