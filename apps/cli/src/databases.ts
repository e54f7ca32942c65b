/** Postgres and Redis of `up`: those that the environment names, or our own. */
import { join } from 'node:path'
import { type LocalDatabase, startPostgres, startRedis } from '@eventflow/local'
import { type Kept, keepRunning } from './keep-running.js'
import type { Voice } from './output.js'
import type { UpOptions } from './up-options.js'

/** A database that clients can connect to. */
export interface Database {
  url: string
  /** The command line that opens a shell on it. It has no password in it. */
  shell: string
  /** The folder with its data, if it is ours. */
  dir?: string
}

/** Starts those that are not there already, and adds them to `started`. */
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

/** When it has to be started again it gets the same port: its clients have the address. */
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
