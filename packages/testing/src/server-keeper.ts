/** The child process that keeps Postgres and Redis of a test process, and stops them when that process is gone. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { migrate } from '@eventflow/db'
import { type LocalServer, startPostgres, startRedis } from '@eventflow/local'
import { administer, databaseUrl } from './database.js'
import type { FromKeeper } from './server-addresses.js'

const TEMPLATE = 'eventflow_template'
const PARTITIONS = 16

const tell = (message: FromKeeper) => {
  if (process.connected) process.send!(message)
}
const log = (line: string) => tell({ kind: 'line', line })
const cacheDir = resolve(process.argv[2] ?? join('.eventflow', 'cache', 'redis'))

const leftAlone = new Promise<void>((resolve) => process.once('disconnect', resolve))
const dir = await mkdtemp(join(tmpdir(), 'eventflow-testing-'))
const started: LocalServer[] = []
try {
  // Started by root, Postgres runs as another account, which must be able to get to its data.
  await chmod(dir, 0o755)
  const keep = async <Server extends LocalServer>(starting: Promise<Server>) => {
    const server = await starting
    started.push(server)
    return server
  }
  const both = await Promise.allSettled([
    keep(startPostgres({ dir: join(dir, 'postgres'), port: 0, log })),
    keep(startRedis({ dir: join(dir, 'redis'), port: 0, cacheDir, log })),
  ])
  const [postgres, redis] = both.map((one) => {
    if (one.status === 'rejected') throw one.reason
    return one.value
  }) as [Awaited<ReturnType<typeof startPostgres>>, LocalServer]
  await administer(postgres.adminUrl, `CREATE DATABASE ${TEMPLATE} OWNER eventflow_owner`)
  await migrate(databaseUrl(postgres.url, TEMPLATE), { partitions: PARTITIONS })
  tell({
    kind: 'ready',
    addresses: { postgres: postgres.url, postgresAdmin: postgres.adminUrl, redis: redis.url, template: TEMPLATE },
  })
  await leftAlone
} catch (error) {
  tell({ kind: 'failed', message: (error as Error).message })
} finally {
  await Promise.all(started.map((server) => server.stop()))
  await rm(dir, { recursive: true, force: true })
  if (process.connected) process.disconnect()
}
