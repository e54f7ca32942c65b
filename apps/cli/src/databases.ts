/** Postgres and Redis of `up`: those in the environment, or our own. */
import { join } from 'node:path'
import { type LocalDatabase, startPostgres, startRedis } from '@eventflow/local'
import { type Kept, keepRunning } from './keep-running.js'
import type { Voice } from './output.js'
import type { UpOptions } from './up-options.js'

/** A database that clients can connect to. */
export interface Database {
  url: string
  /** The command that opens a shell on it, without a password. */
  shell: string
  /** The folder with its data, if we started it. */
  dir?: string
}

/** Starts the databases that the environment does not name, and adds them to `started`. */
export async function startDatabases(
  { env, dataDir, output }: UpOptions,
  started: Kept[],
): Promise<{ postgres: Database; redis: Database }> {
  const both = await Promise.allSettled([
    env.DATABASE_URL
      ? { url: env.DATABASE_URL, shell: 'psql "$DATABASE_URL"' }
      : keepDatabase(output.voice('postgres'), started, (port, log) =>
          startPostgres({ dir: join(dataDir, 'postgres'), port, log }),
        ),
    env.REDIS_URL
      ? { url: env.REDIS_URL, shell: 'redis-cli -u "$REDIS_URL"' }
      : keepDatabase(output.voice('redis'), started, (port, log) =>
          startRedis({ dir: join(dataDir, 'redis'), cacheDir: join(dataDir, 'cache', 'redis'), port, log }),
        ),
  ])
  const [postgres, redis] = both.map((one): Database => {
    if (one.status === 'rejected') throw one.reason
    return one.value
  })
  return { postgres: postgres!, redis: redis! }
}

/** After a restart it gets the same port, because clients have the address. */
async function keepDatabase(
  voice: Voice,
  started: Kept[],
  start: (port: number | undefined, log: (line: string) => void) => Promise<LocalDatabase>,
): Promise<Database> {
  let server: LocalDatabase | undefined
  const kept = await keepRunning(async () => {
    server = await start(server?.port, (line) => voice.say(line))
    return server
  }, voice)
  started.push(kept)
  const { url, shell, dir } = server!
  return { url, shell, dir }
}
