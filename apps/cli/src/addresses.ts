/** Where Postgres and Redis are: what the environment names, else what the `eventflow up` on the data folder has started. */
import { findRunning } from './data-folder.js'

/** There is nothing to look at, or it does not answer: the message says what to do. Ends a command with exit code 2. */
export class UnreachableError extends Error {
  override name = 'UnreachableError'
}

/** The address of Postgres alone. Throws UnreachableError when nothing names one. */
export async function findPostgres(env: NodeJS.ProcessEnv, dataDir: string): Promise<string> {
  return env.DATABASE_URL || (await findRunning(dataDir))?.postgres || nothingNames('DATABASE_URL', dataDir)
}

function nothingNames(variable: string, dataDir: string): never {
  throw new UnreachableError(
    `${variable} is not set, and no eventflow up with a database of its own runs on ${dataDir}:\n` +
      `set ${variable}, or name the folder of a running one with --data-dir`,
  )
}
