/** The columns of the ledger's tables, by name: parts of different age may have them in another order. */
import { type Kysely, sql } from 'kysely'

/** A column of a table. */
export interface Column {
  name: string
  /** As Postgres writes it in a cast. */
  type: string
}

/** Resolves with the columns of a table. */
export async function columnsOf(db: Kysely<unknown>, table: string): Promise<Column[]> {
  const { rows } = await sql<Column>`
    SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
    WHERE attrelid = ${table}::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`.execute(db)
  return rows
}
