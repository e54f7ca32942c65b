/** A whole pipeline of real processes on separate servers, with a link between each process and each server. */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Db, migrate, prepare } from '@eventflow/db'
import { freePort, startPostgres, startRedis } from '@eventflow/local'
import { connectRedis, type Redis, readDepths, untilReady } from '@eventflow/redis'
import { loadDefinitions } from '@eventflow/sdk'
import { everythingIsSettled, windowsAreClosed } from '../drained.js'
import { watchDatabase } from '../history/watch.js'
import { adminUrlOf } from '../services.js'
import { until } from '../until.js'
import { type Link, openLink, withPort } from './link.js'
import { createProgram, type Program } from './program.js'
import { runServer, type Server } from './server.js'

export interface StackOptions {
  /** The number of processes of each kind. */
  ingests: number
  workers: number
  /** The folder of event definitions. */
  definitions: string
  /** The files that node runs. */
  scripts: { ingest: string; worker: string }
  /** Where a fetched Redis is kept. */
  cacheDir: string
  /** Settings of all programs, by their names. */
  settings?: Record<string, string>
  /** A Postgres to use; without it the stack starts one, which faults can stop. */
  databaseUrl?: string
  /** The URL of that database for a superuser, if it is not on the server of the tests. */
  adminUrl?: string
}

export interface Stack {
  /** Everything it writes is in this folder. */
  dir: string
  prefix: string
  postgres: Server | undefined
  redis: Server
  /** The test's own connections, as administrator; no fault of a link affects them. */
  db: Db
  directRedis: Redis
  /** Leads `directRedis` to the present server. */
  directLink: Link
  ingests: Program[]
  workers: Program[]
  /**
   * Another process under the id of a worker, over the same links; to be started, and to be stopped before the stack
   * is.
   */
  twinOf(worker: Program): Promise<Program>
  /** Links by the name of their process and their server: `worker-1 redis`. */
  links: Map<string, Link>
  urls: string[]
  /** The URLs of the workers' health and metrics. */
  workerUrls: string[]
  /**
   * Waits until every accepted event is settled, and handled by the consumer groups, windows are closed, and nothing is
   * left in Redis.
   */
  drained(timeoutMs?: number): Promise<void>
  /** Ends it. `keep` leaves its folder for inspection. */
  stop(options?: { keep: boolean }): Promise<void>
}

export const PARTITIONS = 16

/** Time limit of a start, generous for a busy machine, in milliseconds. */
const START_MS = 60_000

/** The servers of a stack, and their addresses without a link. */
interface Servers {
  postgres: Server | undefined
  redis: Server
  databaseUrl: string
  adminUrl: string
}

type Kind = 'ingest' | 'worker'

/** Makes a program without starting it. `twin`: a second process of that name, over the links of the first. */
type CreateProgram = (kind: Kind, name: string, options?: { twin: boolean }) => Promise<Program & { url: string }>

export async function startStack(options: StackOptions): Promise<Stack> {
  const { settings = {} } = options
  const dir = await mkdtemp(join(tmpdir(), 'eventflow-faults-'))
  await chmod(dir, 0o755) // Postgres runs under another account if we are root, and must be able to get there
  const servers = await startServers(dir, options)
  const { postgres, redis } = servers
  const db = connect({ url: servers.adminUrl, applicationName: 'faults', max: 8, onIdleError: () => {} })
  await watchDatabase(db)
  const directLink = await openLink(redis.port)
  const directRedis = connectRedis({ url: withPort(redis.adminUrl, directLink.port), onError: () => {} })
  await untilReady(directRedis, 5_000)
  await mkdir(join(dir, 'logs'))

  const links = new Map<string, Link>()
  const create = programsOf({ dir, servers, links, options })
  const all = (kind: Kind, count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => create(kind, `${kind}-${i + 1}`)))
  const ingests = await all('ingest', options.ingests)
  const workers = await all('worker', options.workers)
  const programs = [...ingests, ...workers]
  const prefix = settings.EVENTFLOW_STREAM_PREFIX ?? 'ef'

  const stack: Stack = {
    dir,
    prefix,
    postgres,
    redis,
    db,
    directRedis,
    directLink,
    ingests,
    workers,
    twinOf: ({ name }) => create('worker', name, { twin: true }),
    links,
    urls: ingests.map(({ url }) => url),
    workerUrls: workers.map(({ url }) => url),
    async drained(timeoutMs = 60_000) {
      const look = async () => {
        // In this order: what windows emit has to be settled.
        if (!((await windowsAreClosed(db)) && (await everythingIsSettled(db)))) return false
        const depths = await readDepths(directRedis, prefix, PARTITIONS)
        return depths.every(({ length, pending }) => length === 0 && pending === 0)
      }
      await until('everything is settled and Redis is empty', look, timeoutMs)
    },
    async stop({ keep } = { keep: false }) {
      await Promise.all(programs.map((each) => each.stop()))
      directRedis.disconnect()
      await db.end()
      await Promise.all([...links.values(), directLink].map((link) => link.stop()))
      await Promise.all([postgres?.stop(), redis.stop()])
      if (!keep) await rm(dir, { recursive: true, force: true })
    },
  }
  for (const each of programs) each.start()
  try {
    await Promise.all(programs.map((each) => each.ready(START_MS)))
  } catch (error) {
    await stack.stop({ keep: true }) // its logs say why
    throw new Error(`the stack has not started: see ${dir}/logs`, { cause: error })
  }
  return stack
}

/** Starts Redis and, unless one is given, Postgres, and migrates the database. */
async function startServers(
  dir: string,
  { databaseUrl: given, adminUrl, cacheDir, definitions, settings = {} }: StackOptions,
): Promise<Servers> {
  const log = () => {}
  const postgres = given
    ? undefined
    : await runServer(join(dir, 'postgres'), (place) => startPostgres({ ...place, log }))
  const redis = await runServer(join(dir, 'redis'), (place) => startRedis({ ...place, cacheDir, log }))
  const databaseUrl = given ?? postgres!.url
  await migrate(databaseUrl, {
    partitions: PARTITIONS,
    partEvents: Number(settings.EVENTFLOW_PART_EVENTS) || undefined,
  })
  const { events, consumers, windows } = await loadDefinitions(definitions)
  await prepare(
    databaseUrl,
    [...events.values(), ...consumers.values(), ...windows.values()].flatMap((definition) => definition.prepare ?? []),
  )
  return { postgres, redis, databaseUrl, adminUrl: adminUrl ?? postgres?.adminUrl ?? adminUrlOf(databaseUrl) }
}

/** Makes the programs of a stack, and adds their links to `links`. */
function programsOf({
  dir,
  servers: { databaseUrl, redis },
  links,
  options: { scripts, definitions, settings },
}: {
  dir: string
  servers: Servers
  links: Map<string, Link>
  options: StackOptions
}): CreateProgram {
  return async (kind, name, { twin } = { twin: false }) => {
    if (!twin) {
      links.set(`${name} postgres`, await openLink(Number(new URL(databaseUrl).port)))
      links.set(`${name} redis`, await openLink(redis.port))
    }
    const port = await freePort(0)
    const own =
      kind === 'ingest'
        ? { EVENTFLOW_PORT: `${port}` }
        : { EVENTFLOW_METRICS_PORT: `${port}`, EVENTFLOW_WORKER_ID: name }
    const url = `http://127.0.0.1:${port}`
    const program = createProgram({
      name,
      script: scripts[kind],
      env: {
        DATABASE_URL: withPort(databaseUrl, links.get(`${name} postgres`)!.port),
        REDIS_URL: withPort(redis.url, links.get(`${name} redis`)!.port),
        EVENTFLOW_EVENTS: definitions,
        EVENTFLOW_LOG_LEVEL: 'info',
        ...own,
        ...settings,
      },
      readyUrl: `${url}/readyz`,
      logFile: join(dir, 'logs', `${name}${twin ? '-twin' : ''}.log`),
    })
    return Object.assign(program, { url })
  }
}
