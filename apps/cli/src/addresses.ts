/** Where Postgres, Redis and the service are: what the environment names, else what the `eventflow up` on the data folder has started. */
import { findRunning } from './data-folder.js'

/** Where a pipeline is. */
export interface Addresses {
  postgres: string
  redis: string
  /** First part of every name in Redis. */
  prefix: string
}

/** There is nothing to look at, or it does not answer: the message says what to do. Ends a command with exit code 2. */
export class UnreachableError extends Error {
  override name = 'UnreachableError'
}

/** The address of Postgres alone. Throws UnreachableError when nothing names one. */
export async function findPostgres(env: NodeJS.ProcessEnv, dataDir: string): Promise<string> {
  return env.DATABASE_URL || (await findRunning(dataDir))?.postgres?.url || nothingNames('DATABASE_URL', dataDir)
}

/** Both addresses. Throws UnreachableError when nothing names one of them. */
export async function findAddresses(env: NodeJS.ProcessEnv, dataDir: string): Promise<Addresses> {
  return {
    postgres: await findPostgres(env, dataDir),
    redis: env.REDIS_URL || (await findRunning(dataDir))?.redis?.url || nothingNames('REDIS_URL', dataDir),
    prefix: env.EVENTFLOW_STREAM_PREFIX || 'ef',
  }
}

/** The command lines that open a shell on them. They have no password in them. */
export async function findShells(env: NodeJS.ProcessEnv, dataDir: string): Promise<{ psql: string; redisCli: string }> {
  const running = await findRunning(dataDir)
  return {
    psql: (!env.DATABASE_URL && running?.postgres?.shell) || 'psql "$DATABASE_URL"',
    redisCli: (!env.REDIS_URL && running?.redis?.shell) || 'redis-cli -u "$REDIS_URL"',
  }
}

/** Where the service of the `up` on this folder listens; else where one would by default. */
export async function findServiceUrl(dataDir: string): Promise<string> {
  return (await findRunning(dataDir))?.http ?? 'http://127.0.0.1:8000'
}

function nothingNames(variable: string, dataDir: string): never {
  throw new UnreachableError(
    `${variable} is not set, and no eventflow up with its own database runs on ${dataDir}:\n` +
      `set ${variable}, or pass the data folder of a running one with --data-dir`,
  )
}
