/**
 * The addresses of Postgres, Redis and the service: those in the environment, or else those that the `eventflow up` on
 * the data folder has started.
 */
import { findRunning } from './data-folder.js'

/** The addresses of a pipeline. */
export interface Addresses {
  postgres: string
  /** The standby for reads, if there is one. */
  standby?: string | undefined
  redis: string
  /** The prefix of all names in Redis. */
  prefix: string
}

/** No pipeline is named, or it does not answer. The message says what to do. Ends a command with exit code 2. */
export class UnreachableError extends Error {
  override name = 'UnreachableError'
}

/** Resolves with the address of Postgres. Rejects with UnreachableError if none is known. */
export async function findPostgres(env: NodeJS.ProcessEnv, dataDir: string): Promise<string> {
  return env.DATABASE_URL || (await findRunning(dataDir))?.postgres?.url || nothingNames('DATABASE_URL', dataDir)
}

/** Resolves with the address of the standby for reads; undefined if none is known. */
export async function findStandby(env: NodeJS.ProcessEnv, dataDir: string): Promise<string | undefined> {
  if (env.DATABASE_REPLICA_URL || env.DATABASE_URL) return env.DATABASE_REPLICA_URL || undefined
  return (await findRunning(dataDir))?.standby?.url
}

/** Resolves with all addresses. Rejects with UnreachableError if one is unknown. */
export async function findAddresses(env: NodeJS.ProcessEnv, dataDir: string): Promise<Addresses> {
  return {
    postgres: await findPostgres(env, dataDir),
    standby: await findStandby(env, dataDir),
    redis: env.REDIS_URL || (await findRunning(dataDir))?.redis?.url || nothingNames('REDIS_URL', dataDir),
    prefix: env.EVENTFLOW_STREAM_PREFIX || 'ef',
  }
}

/** Resolves with the commands that open a shell on the databases, without passwords. */
export async function findShells(env: NodeJS.ProcessEnv, dataDir: string): Promise<{ psql: string; redisCli: string }> {
  const running = await findRunning(dataDir)
  return {
    psql: (!env.DATABASE_URL && running?.postgres?.shell) || 'psql "$DATABASE_URL"',
    redisCli: (!env.REDIS_URL && running?.redis?.shell) || 'redis-cli -u "$REDIS_URL"',
  }
}

/** Resolves with the URL of the service of the `up` on this folder; otherwise the default URL. */
export async function findServiceUrl(dataDir: string): Promise<string> {
  return (await findRunning(dataDir))?.http ?? 'http://127.0.0.1:8000'
}

function nothingNames(variable: string, dataDir: string): never {
  throw new UnreachableError(
    `${variable} is not set, and no eventflow up with its own database runs on ${dataDir}:\n` +
      `set ${variable}, or pass the data folder of a running one with --data-dir`,
  )
}
