/** `installation`: the one row that tells this installation from others. */
import type { Queryable } from './connect.js'

/** The secret under which stream entries are sealed. The processes of an installation share it; Redis never has it. */
export async function readEntrySecret(db: Queryable): Promise<Buffer> {
  const { rows } = await db.query('SELECT entry_secret FROM installation')
  return rows[0].entry_secret
}

/** Until when events are also looked for under their ids of before the source counted, milliseconds since 1970; 0: not at all. */
export async function readFormerIdsUntil(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT former_ids_until AS until FROM installation')
  return rows[0].until?.getTime() ?? 0
}
