/**
 * A small stage: a whole pipeline of a copied build within the process of the test, for scenarios that kill and freeze
 * no process.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { connect, type Db } from '@eventflow/db'
import { connectRedis, type Redis, untilReady } from '@eventflow/redis'
import type { JoinDefinition, WindowDefinition } from '@eventflow/sdk'
import {
  type Attempt,
  adminUrlOf,
  type BuildCopy,
  type Clients,
  createChecker,
  createClients,
  createDatabase,
  createRandom,
  groupsAreLevel,
  type Link,
  openLink,
  readHistory,
  type Server,
  startOwnRedis,
  type TestPipeline,
  until,
  watchDatabase,
  withPort,
} from '@eventflow/testkit'
import { leftInStreams, unsettled, untilOnlyASweepHelps } from '../left.js'

export interface QuickStage {
  /** Its service and its workers reach both servers over the links. */
  pipeline: TestPipeline
  links: { postgres: Link; redis: Link }
  /** The scenario's own connections, which bypass these links. */
  db: Db
  redis: Redis
  /** Copies the present Redis. The returned function lets the copy take over: everything written since then is lost. */
  snapshotRedis(): Promise<() => Promise<void>>
  clients: Clients
  /** Gives the windows or joins another version for the workers that start from now on. */
  redefine(version: number): void
  /** Lets the lanes sweep for unpublished events from now on, so that the sweep hides no bug before. */
  sweep(): void
  /** Records a claim that must be true. */
  claim(what: string, holds: boolean): void
}

export interface QuickScenario {
  (stage: QuickStage): Promise<void>
  settings?: Record<string, string>
  /** It is about windows; without it there are none. They pass time by ticks only after ten minutes. */
  windows?: true
  /** The same of joins. */
  joins?: true
}

declare global {
  /** Read by the lanes as patched by IN_A_HURRY. */
  var sweepsWait: boolean | undefined
}

/** Runs the scenario, and returns the findings: the failed claims, and the violations that the checker sees. */
export async function playQuickly(
  scenario: QuickScenario,
  build: BuildCopy,
  settings: Record<string, string>,
  drainMs: number,
): Promise<string[]> {
  const copied = (file: string) => import(pathToFileURL(join(build.packages, file)).href)
  const { startPipeline } = await copied('testkit/dist/index.js')
  const { loadDefinitions } = await copied('sdk/dist/index.js')
  process.env.FAULT_WINDOWS = '1'
  const { events, consumers, windows, joins } = await loadDefinitions(build.definitions)
  const databaseUrl = await createDatabase()
  const server = await startOwnRedis()
  const servers = [server]
  const links = { postgres: await openLink(Number(new URL(databaseUrl).port)), redis: await openLink(server.port) }
  const direct = await openLink(server.port)
  const db = connect({ url: adminUrlOf(databaseUrl), applicationName: 'scenario', max: 4, onIdleError: () => {} })
  const redis = connectRedis({ url: withPort(server.adminUrl, direct.port), onError: () => {} })
  await untilReady(redis, 5_000)
  await watchDatabase(db)
  globalThis.sweepsWait = true
  const all = {
    DATABASE_URL: withPort(databaseUrl, links.postgres.port),
    REDIS_URL: withPort(server.url, links.redis.port),
    ...settings,
    ...scenario.settings,
  }
  const readers = [...consumers.values()]
  const redefine = (version: number) => {
    const stateful: (WindowDefinition | JoinDefinition)[] = [...(scenario.joins ? joins : windows).values()]
    const slow = stateful.map((each) => {
      return { ...each, version, time: { ...each.time, idle: '10m' } }
    })
    readers.splice(consumers.size, slow.length, ...slow)
  }
  if (scenario.windows || scenario.joins) redefine(1)
  const pipeline: TestPipeline = await startPipeline([...events.values()], all, readers)
  const attempts: Attempt[] = []
  const journal = { write: (attempt: Attempt) => void attempts.push(attempt), close: async () => {} }
  const clients = createClients({ urls: [pipeline.url], journal, random: createRandom(1) })
  const broken: string[] = []
  const sweep = () => {
    globalThis.sweepsWait = false
  }
  const claim = (what: string, holds: boolean) => {
    if (!holds) broken.push(what)
  }
  const snapshotRedis = async () => {
    const copy = await startOwnRedis({ like: server })
    servers.push(copy)
    await copyRedis(redis, server, copy)
    return async () => {
      const connections = (await clientsOf(redis)).length
      for (const link of [links.redis, direct]) {
        link.target = copy.port
        link.reset()
      }
      await until('all are connected to the copy', async () => (await clientsOf(redis)).length >= connections)
    }
  }
  try {
    await scenario({ pipeline, links, db, redis, snapshotRedis, clients, redefine, sweep, claim })
    for (const link of Object.values(links)) link.mode = { kind: 'pass' }
    await untilOnlyASweepHelps(db, redis, pipeline.prefix)
    sweep()
    const drained = async () =>
      (await unsettled(db)) === 0 && (await groupsAreLevel(db)) && (await leftInStreams(redis, pipeline.prefix)) === 0
    await until('everything is drained', drained, drainMs).catch(() => {}) // the checker reports the rest
    const checker = createChecker()
    for (const attempt of attempts) checker.attempt(attempt)
    await readHistory(checker, db, redis, pipeline.prefix)
    return [...broken, ...checker.verdict().violations.map(({ kind, example }) => `${kind}: ${example}`)]
  } finally {
    await pipeline.stop()
    redis.disconnect()
    await db.end()
    await Promise.all([...Object.values(links), direct].map((link) => link.stop()))
    await Promise.all(servers.map((each) => each.stop()))
  }
}

async function copyRedis(from: Redis, server: Server, copy: Server): Promise<void> {
  const connection = connectRedis({ url: copy.adminUrl, onError: () => {} })
  await untilReady(connection, 5_000)
  await connection.config('SET', 'masterauth', new URL(server.adminUrl).password)
  await from.config('SET', 'repl-diskless-sync-delay', '0')
  await connection.replicaof('127.0.0.1', server.port)
  await until('the copy is in step', async () =>
    (await connection.info('replication')).includes('master_link_status:up'),
  )
  await connection.replicaof('NO', 'ONE')
  connection.disconnect()
}

const clientsOf = async (redis: Redis) =>
  String(await redis.call('CLIENT', 'LIST', 'TYPE', 'normal'))
    .trim()
    .split('\n')
