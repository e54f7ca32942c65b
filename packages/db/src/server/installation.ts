/** `installation`: the single row that identifies this installation. */
import type { Queryable } from './connect.js'

/**
 * Until when events are also looked up under ids that do not depend on the source, in milliseconds since 1970; 0:
 * never.
 */
export async function readFormerIdsUntil(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT former_ids_until AS until FROM installation')
  return rows[0].until?.getTime() ?? 0
}
