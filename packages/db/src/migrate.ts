/** Brings the database up to date. */
import { Kysely, type Migration, Migrator, PostgresDialect } from 'kysely'
import pg from 'pg'
import { pipelineTables } from './migrations/0001-pipeline.js'

/**
 * Applies what is missing, in one transaction under an advisory lock of kysely's: safe when several processes start
 * at once. `partitions` counts only the first time. Gives the names of the migrations that were applied.
 * Throws when the database cannot be reached or a migration fails; then nothing was changed.
 */
export async function migrate(url: string, { partitions }: { partitions: number }): Promise<string[]> {
  const migrations: Record<string, Migration> = {
    '0001-pipeline': { up: pipelineTables(partitions) },
  }
  // A connection of its own: building an index may take longer than the pipeline lets any statement run.
  const pool = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 3_000 })
  // Unheard, the error of a connection that breaks would end the process; the statement in hand reports it too.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
    const { error, results } = await migrator.migrateToLatest()
    if (error) throw error
    return (results ?? []).map((result) => result.migrationName)
  } finally {
    await db.destroy()
  }
}
