/** Postgres, its standby and Redis of `up`: those in the environment, or our own. */
import { join } from 'node:path'
import { backUp, untilReplayed } from '@eventflow/db'
import { type LocalDatabase, SetupError, startPostgres, startRedis, startStandby } from '@eventflow/local'
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

/** The databases of `up`. */
export interface Databases {
  postgres: Database
  standby: Database | undefined
  redis: Database
}

/** Starts the databases that the environment does not name, and adds them to `started`. */
export async function startDatabases(options: UpOptions, started: Kept[]): Promise<Databases> {
  const { env, dataDir, output, standby = false } = options
  if (standby && (env.DATABASE_URL || env.DATABASE_REPLICA_URL)) {
    throw new SetupError('--standby is for the Postgres that up starts: unset DATABASE_URL and DATABASE_REPLICA_URL')
  }
  let primary: LocalDatabase | undefined
  const both = await Promise.allSettled([
    env.DATABASE_URL
      ? { url: env.DATABASE_URL, shell: 'psql "$DATABASE_URL"' }
      : keepDatabase(output.voice('postgres'), started, async (port, log) => {
          primary = await startPostgres({ dir: join(dataDir, 'postgres'), port, standby, log })
          return primary
        }),
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
  const replica = standby
    ? await keepDatabase(output.voice('standby'), started, (port, log) =>
        startStandby({
          dir: join(dataDir, 'postgres-standby'),
          primary: primary!,
          port,
          client: { backUp, untilReplayed },
          log,
        }),
      )
    : env.DATABASE_REPLICA_URL
      ? { url: env.DATABASE_REPLICA_URL, shell: 'psql "$DATABASE_REPLICA_URL"' }
      : undefined
  return { postgres: postgres!, standby: replica, redis: redis! }
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
