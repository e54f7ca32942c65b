/** Windows and joins with rows of the test's own, as if workers had written them. */
import type { Db } from '@eventflow/db'

export interface Stateful {
  name: string
  kind: 'window' | 'join'
  types?: string[]
  generation?: number
  building?: number | null
  /** In microseconds. */
  out_of_orderness?: number
  idle?: number | null
}

/** Makes a window or a join at the beginning of the log. Resolves with its id. */
export async function makeStateful(db: Db, given: Stateful): Promise<number> {
  const [row] = await insertRows(db, 'consumer_groups', [
    { tenant_id: 'default', generation: 1, types: [], building: null, out_of_orderness: 0, idle: 30e6, ...given },
  ])
  const { group_id: groupId, generation } = row as { group_id: number; generation: number }
  await db.query(
    'INSERT INTO group_cursors (group_id, generation, partition, position) SELECT $1, $2, id, 0 FROM partitions',
    [groupId, generation],
  )
  await db.query('INSERT INTO group_leases (group_id, partition) SELECT $1, id FROM partitions', [groupId])
  return groupId
}

/** Inserts rows with the same columns. Resolves with them as they were stored. */
export async function insertRows(
  db: Db,
  table: string,
  rows: readonly Record<string, unknown>[],
): Promise<Record<string, unknown>[]> {
  const columns = Object.keys(rows[0]!).join(', ')
  const inserted = await db.query(
    `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM jsonb_populate_recordset(NULL::${table}, $1) RETURNING *`,
    [JSON.stringify(rows)],
  )
  return inserted.rows
}

/** A time of 2026-01-31, such as 10:00:05, in microseconds. */
export const microsAt = (clock: string) => Date.parse(`2026-01-31T${clock}Z`) * 1_000
