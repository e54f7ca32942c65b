/** `eventflow sql`: asks the database, for machines without psql. */
import { sqlErrorKind } from '@eventflow/db'
import { SetupError } from '@eventflow/local'
import { askPostgres } from './ask-postgres.js'

/** Runs one statement and gives its rows. Throws what Postgres says of a statement that it does not take. */
export async function sql(postgres: string, statement: string): Promise<Record<string, unknown>[]> {
  return askPostgres(postgres, async (db) => {
    const result = await db.query(statement).catch((error) => {
      throw ['data', 'statement'].includes(sqlErrorKind(error)) ? new SetupError(`Postgres: ${error.message}`) : error
    })
    return result.rows
  })
}
