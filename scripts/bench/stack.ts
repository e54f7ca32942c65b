/** The Postgres and the Redis of all measurements, and the programs that use them. */
import { chmod, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres, startRedis } from '@eventflow/local'
import { Redis } from 'ioredis'
import pg from 'pg'
import { cpuSecondsOf, ownMemoryOf, parentOf } from './processes.js'
import { type Program, type ProgramOptions, startProgram } from './program.js'

const DATABASE = 'bench'

/** Processor seconds or bytes, by role: `postgres`, `redis`, `bench` (this process) and the programs' roles. */
export type ByRole = Record<string, number>

type StartOptions = Pick<ProgramOptions, 'plan' | 'env'>

export interface Stack {
  /** The database, recreated by each `reset`. */
  databaseUrl: string
  /** The same database, for a superuser. */
  adminUrl: string
  redisUrl: string
  db: pg.Pool
  redis: Redis
  /**
   * Empties the database and Redis, and flushes pending writes to the disk. `kept`: the database is a copy of the one
   * with this name.
   */
  reset(kept?: string): Promise<void>
  /** Keeps the database under this name; after that, `reset` makes a new one. */
  keep(name: string): Promise<void>
  /** Starts a program and waits until it is ready if it is one of the bench's own. */
  start(role: string, file: string, options?: StartOptions): Promise<Program>
  /** Starts a program that does not report; its starter finds out when it is ready. */
  launch(role: string, file: string, env: Record<string, string>): Program
  stopPrograms(): Promise<void>
  cpuSeconds(): ByRole
  ownMemory(): ByRole
  versions(): Promise<{ postgres: string; redis: string }>
  /** Stops everything and removes the data. Operations in flight fail. */
  stop(): Promise<void>
}

export interface StackOptions {
  /** For the data: must be on a disk, since a sync to memory costs nothing. */
  dir: string
  /** Where a fetched Redis is kept. */
  cacheDir: string
  /** Programs write a CPU profile here, named after their role, when they stop cleanly. */
  profileDir?: string | undefined
}

/** Makes the database anew: empty, or a copy of the one with the name `kept`. */
async function recreate(admin: pg.Pool, kept: string | undefined): Promise<void> {
  const copied = kept === undefined ? '' : `TEMPLATE ${kept} STRATEGY file_copy`
  await admin.query(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`)
  // Owned as by `npm start`; the other measured queues create tables and schemas of their own.
  await admin.query(`CREATE DATABASE ${DATABASE} OWNER eventflow_owner ${copied}`)
  await admin.query(`GRANT CREATE ON DATABASE ${DATABASE} TO eventflow`)
}

/** Lets the programs' role create tables in the database, as its migrations do. */
async function allowTables(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  await client.query('GRANT CREATE ON SCHEMA public TO eventflow')
  await client.end()
}

/** Starts Postgres and Redis. */
export async function startStack({ dir, cacheDir, profileDir }: StackOptions): Promise<Stack> {
  await mkdir(dir, { recursive: true })
  await chmod(dir, 0o755) // Postgres runs under another account if we are root
  const [postgres, redisServer] = await Promise.all([
    startPostgres({ dir: join(dir, 'postgres'), port: 0, log: () => {} }),
    startRedis({ dir: join(dir, 'redis'), port: 0, cacheDir, log: () => {} }),
  ])
  const admin = new pg.Pool({ connectionString: postgres.adminUrl, max: 1 })
  const databaseUrl = Object.assign(new URL(postgres.url), { pathname: DATABASE }).href
  const adminUrl = Object.assign(new URL(postgres.adminUrl), { pathname: DATABASE }).href
  const db = new pg.Pool({ connectionString: databaseUrl, max: 2 })
  // Each reset ends the connections to the database.
  for (const pool of [admin, db]) pool.on('error', () => {})
  const redis = new Redis(redisServer.adminUrl)
  const { rows } = await admin.query('SELECT pg_backend_pid() AS pid')
  const pids = {
    postgres: parentOf(rows[0].pid) ?? rows[0].pid,
    redis: Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1]),
  }
  const logFile = join(dir, 'programs.log')
  let programs: { role: string; program: Program }[] = []
  let launched = 0

  function profiled(role: string): string[] {
    if (profileDir === undefined) return []
    return ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${++launched}-${role}.cpuprofile`]
  }

  function launch(role: string, file: string, options: StartOptions): Program {
    const program = startProgram(file, { ...options, nodeOptions: profiled(role), logFile })
    programs.push({ role, program })
    return program
  }

  function byRole(look: (pid: number) => number): ByRole {
    const found: ByRole = { postgres: look(pids.postgres), redis: look(pids.redis) }
    for (const { role, program } of programs) found[role] = (found[role] ?? 0) + look(program.pid)
    return found
  }

  let stopped: Promise<void> | undefined
  async function stop(): Promise<void> {
    await stopPrograms()
    redis.disconnect()
    await Promise.all([db.end(), admin.end()])
    await Promise.all([postgres.stop(), redisServer.stop()])
    await rm(dir, { recursive: true, force: true })
  }

  async function stopPrograms(): Promise<void> {
    const stopping = programs
    programs = []
    await Promise.all(stopping.map(({ program }) => program.stop()))
  }

  return {
    databaseUrl,
    adminUrl,
    redisUrl: redisServer.url,
    db,
    redis,
    async reset(kept) {
      await recreate(admin, kept)
      await allowTables(adminUrl)
      await admin.query('CHECKPOINT')
      await redis.flushall()
    },
    async keep(name) {
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [DATABASE])
      await admin.query(`ALTER DATABASE ${DATABASE} RENAME TO ${name}`)
    },
    async start(role, file, options = {}) {
      const program = launch(role, file, { plan: {}, ...options })
      await program.ready
      return program
    },
    launch: (role, file, env) => launch(role, file, { env }),
    stopPrograms,
    cpuSeconds: () => ({
      ...byRole(cpuSecondsOf),
      bench: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
    }),
    ownMemory: () => byRole(ownMemoryOf),
    async versions() {
      const version = await admin.query('SHOW server_version')
      return {
        postgres: version.rows[0].server_version,
        redis: /^redis_version:(\S+)/m.exec(await redis.info('server'))![1]!,
      }
    },
    stop() {
      stopped ??= stop()
      return stopped
    },
  }
}
