/** Brings the database up to date. */
import { setTimeout as delay } from 'node:timers/promises'
import { Kysely, type Migration, Migrator, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Queryable } from './connect.js'
import { checkedDatabaseUrl } from './database-url.js'
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
import { installationTable } from './migrations/0011-installation.js'
import { formerIds } from './migrations/0012-former-ids.js'
import { listsByTenant } from './migrations/0013-lists-by-tenant.js'
import { asRole, findOwner, grantRights, handOver } from './owner.js'

/** All migrations; `partitions` is how many a new database gets. */
export function migrationsFor(partitions: number): Record<string, Migration> {
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
    '0011-installation': { up: installationTable },
    '0012-former-ids': { up: formerIds },
    '0013-lists-by-tenant': { up: listsByTenant },
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

/** How long a migration waits for a lock, in milliseconds: everything that comes after it to the table waits as long. */
const LOCK_TIMEOUT_MS = 1_000

/** How long it then lets the others pass, in milliseconds. */
const LET_PASS_MS = 2_000

/** For how long it tries, in milliseconds. */
const PATIENCE_MS = 120_000

/** A migration needs a lock that another session holds, such as that of a dump. */
class MigrationBlockedError extends Error {
  override name = 'MigrationBlockedError'
}

/**
 * Applies what is missing, in one transaction under an advisory lock of kysely's: safe when several processes start
 * at once. `partitions` counts only the first time. Gives the names of the migrations that were applied.
 * Throws when the database cannot be reached, a migration fails or a lock cannot be had in time; then nothing was changed.
 */
export function migrate(url: string, { partitions }: { partitions: number }): Promise<string[]> {
  return applyMigrations(url, migrationsFor(partitions))
}

/**
 * As `migrate`, for these migrations. A migration that waits for a lock holds up every statement that comes to the table after it.
 * So it waits for a moment only, begins again after a pause, and gives up in the end.
 */
export async function applyMigrations(
  url: string,
  migrations: Record<string, Migration>,
  { patienceMs = PATIENCE_MS, letPassMs = LET_PASS_MS } = {},
): Promise<string[]> {
  const owner = await withDatabase(url, {}, async (_, pool) => findOwner(pool))
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      if (owner) await withDatabase(url, {}, (db) => handOver(db, owner, LOCK_TIMEOUT_MS))
      return await withDatabase(url, owner ? asRole(owner) : {}, async (db) => {
        const applied = await applyOnce(db, migrations)
        if (owner) await grantRights(db)
        return applied
      })
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
      if (performance.now() + letPassMs > deadline) {
        throw new MigrationBlockedError(await withDatabase(url, {}, (_, pool) => describeBlockers(pool)))
      }
      await delay(letPassMs)
    }
  }
}

async function applyOnce(db: Kysely<unknown>, migrations: Record<string, Migration>): Promise<string[]> {
  const provider = { getMigrations: async () => withLockTimeout(migrations) }
  const { error, results } = await new Migrator({ db, provider }).migrateToLatest()
  if (error) throw error
  return (results ?? []).map((result) => result.migrationName)
}

/** A connection of its own: building an index may take longer than the pipeline lets any statement run. */
async function withDatabase<Result>(
  url: string,
  options: { options?: string },
  work: (db: Kysely<unknown>, pool: pg.Pool) => Promise<Result>,
): Promise<Result> {
  const config = { connectionString: checkedDatabaseUrl(url), max: 1, connectionTimeoutMillis: 3_000, ...options }
  const pool = new pg.Pool(config)
  // Unheard, the error of a connection that breaks would end the process; the statement in hand reports it too.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await work(db, pool)
  } finally {
    await pool.end() // Kysely would not end one that it has not used
  }
}

/** SQLSTATE of a statement that has waited for a lock for too long. */
const LOCK_NOT_AVAILABLE = '55P03'

/** Only the locks of tables have a limit; another process that migrates is waited for. */
function withLockTimeout(migrations: Record<string, Migration>): Record<string, Migration> {
  const limited = ({ up }: Migration): Migration => ({
    async up(db) {
      await sql`SET LOCAL lock_timeout = ${sql.lit(LOCK_TIMEOUT_MS)}`.execute(db)
      await up(db)
    },
  })
  return Object.fromEntries(Object.entries(migrations).map(([name, migration]) => [name, limited(migration)]))
}

async function describeBlockers(db: Queryable): Promise<string> {
  const { rows } = await db.query(`
    SELECT pid, application_name AS name, round(extract(epoch FROM now() - xact_start)) AS seconds FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 3`)
  const sessions = rows.map(({ pid, name, seconds }) => `${pid} (${name || 'without a name'}, for ${seconds} s)`)
  return (
    'the tables are locked by another session, so the database was not migrated and nothing was changed. ' +
    `Wait until it has ended, or end it, and start again. The oldest transactions: ${sessions.join(', ') || 'none now'}`
  )
}
