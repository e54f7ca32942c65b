/** `eventflow sql`: asks the database, for machines without psql. */
import { connect } from '@eventflow/db'

/** Runs one statement and gives its rows. Throws what Postgres says. */
export async function sql(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const db = connect({ url, applicationName: 'eventflow-sql', max: 1, onIdleError: () => {} })
  try {
    return (await db.query(statement)).rows
  } finally {
    await db.end()
  }
}
