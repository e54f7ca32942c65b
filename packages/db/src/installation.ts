/** `installation`: the one row that tells this installation from others. */
import type { Queryable } from './connect.js'

/** The secret under which stream entries are sealed. The processes of an installation share it; Redis never has it. */
export async function readEntrySecret(db: Queryable): Promise<Buffer> {
  const { rows } = await db.query('SELECT entry_secret FROM installation')
  return rows[0].entry_secret
}
