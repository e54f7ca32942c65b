/** Migrates the database. */
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
import { ledgerInParts } from './migrations/0014-ledger-in-parts.js'
import { logPosition } from './migrations/0015-log-position.js'
import { logReaders } from './migrations/0016-log-readers.js'
import { windowsAndJoins } from './migrations/0017-windows-and-joins.js'
import { formerGenerations } from './migrations/0018-former-generations.js'
import { asRole, findOwner, grantRights, handOver } from './owner.js'
import { isLockInTheWay } from './sql-errors.js'
import { MIN_PART_EVENTS } from './to-parts.js'

/** How a new database is divided. */
export interface Division {
  /** How many partitions it has. */
  partitions: number
  /** How many seqs each of the first parts of the ledger has. */
  partEvents?: number | undefined
}

/** All migrations. */
export function migrationsFor({ partitions, partEvents = MIN_PART_EVENTS }: Division): Record<string, Migration> {
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
    '0014-ledger-in-parts': { up: ledgerInParts(partEvents) },
    '0015-log-position': { up: logPosition },
    '0016-log-readers': { up: logReaders },
    '0017-windows-and-joins': { up: windowsAndJoins },
    '0018-former-generations': { up: formerGenerations },
  }
}

/**
 * Resolves with the migrations that the database lacks, and with those applied to it that this version does not know
 * (from a newer version).
 */
export async function compareMigrations(db: Queryable): Promise<{ missing: string[]; unknown: string[] }> {
  const known = Object.keys(migrationsFor({ partitions: 1 }))
  const { rows: tables } = await db.query(`SELECT to_regclass('kysely_migration') IS NOT NULL AS there`)
  if (!tables[0].there) return { missing: known, unknown: [] }
  const { rows } = await db.query('SELECT name FROM kysely_migration ORDER BY name')
  const applied = rows.map((row) => row.name as string)
  return {
    missing: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  }
}

/** How long a migration waits for a lock, in milliseconds: all later statements on the table wait behind it. */
const LOCK_TIMEOUT_MS = 1_000

/** How long it then pauses to let other statements run, in milliseconds. */
const LET_PASS_MS = 2_000

/** How long it keeps trying, in milliseconds. */
const PATIENCE_MS = 120_000

/** A migration needs a lock that another session holds, for example a dump. */
class MigrationBlockedError extends Error {
  override name = 'MigrationBlockedError'
}

/**
 * Applies missing migrations, in one transaction under an advisory lock of Kysely: several processes may start at once.
 * `division` is used only the first time. Resolves with the names of the applied migrations. Rejects if the database
 * cannot be reached, a migration fails or a lock is not available in time; then nothing was changed.
 */
export function migrate(url: string, division: Division): Promise<string[]> {
  return applyMigrations(url, migrationsFor(division))
}

/**
 * Like `migrate`, for the given migrations. A migration that waits for a lock blocks every later statement on the
 * table. So it waits only briefly, tries again after a pause, and finally gives up.
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
      if (!isLockInTheWay(error)) throw error
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

/** Uses a separate connection: building an index may take longer than the pipeline's statement timeout. */
async function withDatabase<Result>(
  url: string,
  options: { options?: string },
  work: (db: Kysely<unknown>, pool: pg.Pool) => Promise<Result>,
): Promise<Result> {
  const config = { connectionString: checkedDatabaseUrl(url), max: 1, connectionTimeoutMillis: 3_000, ...options }
  const pool = new pg.Pool(config)
  // Without a listener, the error of a broken connection would end the process; the running statement reports it, too.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await work(db, pool)
  } finally {
    await pool.end() // Kysely would not end one that it has not used
  }
}

/** Only locks of tables have the time limit; another migrating process is waited for. */
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
