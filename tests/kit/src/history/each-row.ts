/** Reads long tables. */
import type { Queryable, Transaction } from '@eventflow/db'

/** Rows read by one statement, which then ends well below the statement timeout. */
const PAGE = 50_000

/**
 * Reads a table, or a tenant's rows of it, page by page in the order of a unique column, which the query must return as
 * `cursor`.
 */
export async function eachRow(
  db: Queryable,
  select: string,
  { column, type, tenantId }: { column: string; type: string; tenantId?: string },
  // biome-ignore lint/suspicious/noExplicitAny: a row has the shape of its statement.
  take: (row: any) => void,
): Promise<void> {
  let after: unknown
  for (;;) {
    const values: unknown[] = []
    const conditions = ['true']
    if (tenantId !== undefined) conditions.push(`tenant_id = $${values.push(tenantId)}`)
    if (after !== undefined) conditions.push(`${column} > $${values.push(after)}::${type}`)
    const { rows } = await db.query(
      `${select} WHERE ${conditions.join(' AND ')} ORDER BY ${column} LIMIT ${PAGE}`,
      values,
    )
    for (const row of rows) take(row)
    if (rows.length < PAGE) return
    after = rows.at(-1).cursor
  }
}

/** The time limit of a statement over a whole history, in milliseconds. */
export const LONG_MS = 120_000

/** The rows of a statement that may take longer than those of the pipeline. */
// biome-ignore lint/suspicious/noExplicitAny: a row has the columns of its statement.
export async function rowsOf(tx: Transaction, text: string, values: unknown[] = []): Promise<any[]> {
  await tx.query(`SET LOCAL statement_timeout = ${LONG_MS}`)
  const statement = { text, values, query_timeout: LONG_MS }
  return (await tx.query(statement)).rows
}
