/** `installation`: the single row that identifies this installation. */
import type { Queryable } from './connect.js'

/**
 * Resolves with the secret with which stream entries are sealed. All processes of an installation share it; Redis never
 * gets it.
 */
export async function readEntrySecret(db: Queryable): Promise<Buffer> {
  const { rows } = await db.query('SELECT entry_secret FROM installation')
  return rows[0].entry_secret
}

/**
 * Until when events are also looked up under ids that do not depend on the source, in milliseconds since 1970; 0:
 * never.
 */
export async function readFormerIdsUntil(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT former_ids_until AS until FROM installation')
  return rows[0].until?.getTime() ?? 0
}
