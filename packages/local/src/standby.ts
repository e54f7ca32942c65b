/** A standby of the local Postgres, which follows it by streaming replication and answers reads. */
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { copyData } from './copy-data.js'
import { startOnPort } from './ports.js'
import { endsOf, launchPostgres, replicationPassword, SETTINGS } from './postgres.js'
import { findBinaries } from './postgres-binaries.js'
import { stopLeftover } from './postgres-leftover.js'
import { REPLICATION } from './postgres-roles.js'
import { findHome, giveTo, type Home } from './server-home.js'
import type { LocalDatabase, ServerProcess } from './server-process.js'
import { SetupError } from './setup-error.js'

const USUAL_PORT = 15442

/**
 * A read may hold up replay for a second, so that the standby stays below the two seconds from which reads avoid it;
 * the service repeats a read that is cancelled for replay on the primary. `hot_standby_feedback` stays off: a long
 * statement on the standby would keep vacuum on the primary from cleaning up, and the tables of retries and partitions
 * change all the time.
 */
const STANDBY_SETTINGS = {
  ...SETTINGS,
  max_standby_streaming_delay: '1s',
  hot_standby_feedback: 'off',
  wal_retrieve_retry_interval: '500ms',
}

/** How long it may take until it streams, in milliseconds. */
const STREAMING_WITHIN_MS = 120_000

/** What Postgres logs when the primary does not have what the standby needs. */
const UNFIT = [
  'has already been removed',
  'system identifier differs',
  "is not in this server's history",
  'ahead of the WAL flush position',
  'is behind recovery timeline',
]

/** The statements that it takes, on URLs for administrators. */
interface StandbyClient {
  /** Calls `copy` while the Postgres is in backup mode; resolves with the content of the file `backup_label`. */
  backUp(adminUrl: string, copy: () => Promise<void>): Promise<string>
  /** Resolves when the standby has replayed what the primary has written until now. Rejects when `signal` aborts. */
  untilReplayed(primaryUrl: string, standbyUrl: string, signal: AbortSignal): Promise<void>
}

/** Options of {@link startStandby}. */
export interface StandbyOptions {
  /** The folder for its data and its log. One process at a time may use it. */
  dir: string
  /** A running Postgres that was started for a standby. */
  primary: LocalDatabase
  /** The required port, 0 for any. Without it: 15442, or one near it if that is taken. */
  port?: number | undefined
  client: StandbyClient
  log: (line: string) => void
}

/**
 * Starts it, and resolves when it follows the primary. Reuses its existing data if the primary still has the
 * write-ahead log since then; otherwise copies the primary. Its roles and passwords are those of the primary.
 */
export async function startStandby({ dir, primary, port, client, log }: StandbyOptions): Promise<LocalDatabase> {
  const home = await findHome('Postgres', resolve(dir), log)
  const bin = await findBinaries(home)
  await stopLeftover(home.data, log)
  const start = () =>
    startOnPort({ name: 'The standby', port, usual: USUAL_PORT, log }, async (freePort) => {
      await writeConnection(home, primary)
      return follow({ bin, home, primary, port: freePort, client, log })
    })
  const server = existsSync(home.data) ? await start().catch(unlessUnfit) : undefined
  if (server) return ready(server)
  if (existsSync(home.data)) log('the data of the standby does not fit the primary, which is copied anew')
  await copyPrimary(home, primary, client)
  return ready(await start())

  function ready(started: LocalDatabase): LocalDatabase {
    log(`the standby is ready on port ${started.port}, with its data in ${home.dir}`)
    return started
  }
}

/** Its data does not fit the primary, or is damaged. */
class UnfitError extends SetupError {}

function unlessUnfit(error: Error): undefined {
  if (!(error instanceof UnfitError)) throw error
}

/** Copies the primary under a temporary name, so that an existing data folder is always complete. */
async function copyPrimary(home: Home, primary: LocalDatabase, { backUp }: StandbyClient): Promise<void> {
  const unfinished = `${home.data}.new`
  await rm(unfinished, { recursive: true, force: true })
  const label = await backUp(primary.adminUrl, () => copyData(join(primary.dir, 'data'), unfinished, home.account))
  for (const [name, content] of Object.entries({ backup_label: label, 'standby.signal': '' })) {
    await writeFor(home, join(unfinished, name), content)
  }
  await rm(home.data, { recursive: true, force: true })
  await rename(unfinished, home.data)
}

/** In a file of the data folder: other users can read the arguments of a process. */
async function writeConnection(home: Home, primary: LocalDatabase): Promise<void> {
  const password = await replicationPassword(primary.dir)
  const target = `host=127.0.0.1 port=${primary.port} user=${REPLICATION} password=${password}`
  await writeFor(home, join(home.data, 'postgresql.auto.conf'), `primary_conninfo = '${target}'\n`)
}

async function writeFor(home: Home, path: string, content: string): Promise<void> {
  await writeFile(path, content, { mode: 0o600 })
  await giveTo(home.account, path)
}

async function follow({
  bin,
  home,
  primary,
  port,
  client,
  log,
}: Pick<StandbyOptions, 'primary' | 'client' | 'log'> & {
  bin: string
  home: Home
  port: number
}): Promise<LocalDatabase> {
  const at = (url: string) => {
    const own = new URL(url)
    own.port = `${port}`
    return own.href
  }
  const server = launchPostgres(bin, home, { ...STANDBY_SETTINGS, port: `${port}` }, log)
  const over = new AbortController()
  // It says that it streams before it knows whether the primary still has the log from there on.
  const replays = Promise.all([isReady(server), isStreaming(server)]).then(() =>
    client.untilReplayed(primary.adminUrl, at(primary.adminUrl), over.signal),
  )
  try {
    await server.until(Promise.race([replays, fails(server)]))
  } catch (error) {
    over.abort()
    await server.exited
    const { message } = error as Error
    throw message.includes('Address already in use') ? error : new UnfitError(message)
  }
  return {
    url: at(primary.url),
    adminUrl: at(primary.adminUrl),
    port,
    dir: home.dir,
    shell: primary.shell.replace(`:${primary.port}/`, `:${port}/`),
    ...endsOf(server),
  }
}

const isReady = (server: ServerProcess) => server.says('database system is ready to accept read-only connections')
const isStreaming = (server: ServerProcess) => server.says('started streaming WAL from primary')

/** Rejects when its log says that it cannot follow, or does not stream in time. */
async function fails(server: ServerProcess): Promise<never> {
  const timer = new AbortController()
  const late = delay(STREAMING_WITHIN_MS, undefined, { ref: false, signal: timer.signal }).then(() => {
    throw new SetupError(`the standby has not begun to stream within ${STREAMING_WITHIN_MS / 1_000} s`)
  })
  late.catch(() => {})
  void server.exited.then(() => timer.abort())
  await Promise.race([late, ...UNFIT.map((text) => server.says(text))])
  throw new SetupError('the standby does not fit its primary')
}
