/** Brings the database up to date. */
import { Kysely, type Migration, Migrator, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Queryable } from './connect.js'
import { pipelineTables } from './migrations/0001-pipeline.js'
import { extensions } from './migrations/0002-extensions.js'
import { alertsTable } from './migrations/0003-alerts.js'
import { apiKeys } from './migrations/0004-api-keys.js'
import { eventSchemas } from './migrations/0005-event-schemas.js'
import { tenantRole } from './migrations/0006-tenant-role.js'
import { schemaWalls } from './migrations/0007-schema-walls.js'
import { replayVersion } from './migrations/0008-replay-version.js'
import { partitionMarks } from './migrations/0009-partition-marks.js'
import { workerProcesses } from './migrations/0010-worker-processes.js'

/** `partitions` is how many a new database gets. */
function migrationsFor(partitions: number): Record<string, Migration> {
  return {
    '0001-pipeline': { up: pipelineTables(partitions) },
    '0002-extensions': { up: extensions },
    '0003-alerts': { up: alertsTable },
    '0004-api-keys': { up: apiKeys },
    '0005-event-schemas': { up: eventSchemas },
    '0006-tenant-role': { up: tenantRole },
    '0007-schema-walls': { up: schemaWalls },
    '0008-replay-version': { up: replayVersion },
    '0009-partition-marks': { up: partitionMarks },
    '0010-worker-processes': { up: workerProcesses },
  }
}

/** What a database lacks to be up to date, and what was applied to it that this version does not know: a newer one's. */
export async function compareMigrations(db: Queryable): Promise<{ missing: string[]; unknown: string[] }> {
  const known = Object.keys(migrationsFor(1))
  const { rows: tables } = await db.query(`SELECT to_regclass('kysely_migration') IS NOT NULL AS there`)
  if (!tables[0].there) return { missing: known, unknown: [] }
  const { rows } = await db.query('SELECT name FROM kysely_migration ORDER BY name')
  const applied = rows.map((row) => row.name as string)
  return {
    missing: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  }
}

/**
 * Applies what is missing, in one transaction under an advisory lock of kysely's: safe when several processes start
 * at once. `partitions` counts only the first time. Gives the names of the migrations that were applied.
 * Throws when the database cannot be reached or a migration fails; then nothing was changed.
 */
export async function migrate(url: string, { partitions }: { partitions: number }): Promise<string[]> {
  // A connection of its own: building an index may take longer than the pipeline lets any statement run.
  const pool = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 3_000 })
  // Unheard, the error of a connection that breaks would end the process; the statement in hand reports it too.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrationsFor(partitions) } })
    const { error, results } = await migrator.migrateToLatest()
    if (error) throw error
    return (results ?? []).map((result) => result.migrationName)
  } finally {
    await db.destroy()
  }
}
