/** One Postgres and one Redis for a whole test run; each test file has a separate database and prefix in them. */
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, migrate, REMEMBER_HISTORY } from '@eventflow/db'
import { startPostgres, startRedis } from '@eventflow/local'

/** How the test files learn of the services: jest passes its environment to the processes that run them. */
const POSTGRES = 'EVENTFLOW_TEST_POSTGRES'
const POSTGRES_ADMIN = 'EVENTFLOW_TEST_POSTGRES_ADMIN'
const REDIS = 'EVENTFLOW_TEST_REDIS'
const REDIS_CACHE = 'EVENTFLOW_TEST_REDIS_CACHE'

const TEMPLATE = 'eventflow_template'

export interface Services {
  stop(): Promise<void>
}

/** Starts both, with a migrated database to copy. `cacheDir` keeps a fetched Redis for the next run. */
export async function startServices({ cacheDir }: { cacheDir: string }): Promise<Services> {
  const dir = await mkdtemp(join(tmpdir(), 'eventflow-test-'))
  // Postgres runs under another account if the tests run as root, and must be able to get there.
  await chmod(dir, 0o755)
  const log = () => {}
  const [postgres, redis] = await Promise.all([
    startPostgres({ dir: join(dir, 'postgres'), port: 0, log }),
    startRedis({ dir: join(dir, 'redis'), port: 0, cacheDir, log }),
  ])
  process.env[POSTGRES] = postgres.url
  process.env[POSTGRES_ADMIN] = postgres.adminUrl
  process.env[REDIS] = redis.adminUrl
  process.env[REDIS_CACHE] = cacheDir
  await administer(`CREATE DATABASE ${TEMPLATE} OWNER eventflow_owner`)
  await migrate(databaseUrl(TEMPLATE), { partitions: 16 })
  return {
    async stop() {
      await Promise.all([postgres.stop(), redis.stop()])
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** The Redis of this run, as its administrator: tests fill and stop it. */
export function redisUrl(): string {
  return required(REDIS)
}

/** Where a fetched Redis is kept. */
export function redisCacheDir(): string {
  return required(REDIS_CACHE)
}

/**
 * Creates a database; migrated and empty, or without any table. A copy of the database `like` is made in a fraction of
 * the time of its migrations; that one must be without connections. `ledger`: whether it has the table of that name, which
 * knows its database. Returns its URL for the ordinary role of the pipeline's programs: all tests run with its rights.
 */
export async function createDatabase({
  migrated = true,
  like = databaseUrl(TEMPLATE),
  ledger = migrated,
}: {
  migrated?: boolean
  like?: string
  ledger?: boolean
} = {}): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const template = new URL(like).pathname.slice(1)
  await administer(`CREATE DATABASE ${name} ${migrated ? `TEMPLATE ${template}` : ''} OWNER eventflow_owner`)
  // A copy counts as restored from the template: the first worker would begin a new incarnation.
  if (ledger) await administer(REMEMBER_HISTORY, databaseUrl(name))
  return databaseUrl(name)
}

/** The URL of the same database for a superuser: for tests that change its tables or its server. */
export function adminUrlOf(url: string): string {
  const admin = new URL(required(POSTGRES_ADMIN))
  admin.pathname = new URL(url).pathname
  return admin.href
}

/** Runs a statement in the database as a superuser. */
export async function administer(statement: string, url = required(POSTGRES)): Promise<void> {
  const db = connect({ url: adminUrlOf(url), applicationName: 'test', max: 1, onIdleError: () => {} })
  try {
    await db.query(statement)
  } finally {
    await db.end()
  }
}

function databaseUrl(name: string): string {
  const url = new URL(required(POSTGRES))
  url.pathname = name
  return url.href
}

function required(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: tests run under jest.config.js, which starts the services`)
  return value
}
