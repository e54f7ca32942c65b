/** Postgres and Redis for tests, in a child process that stops them when the test process is gone. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FromKeeper, ServerAddresses } from './server-addresses.js'

/** Options of {@link startServers}. */
export interface ServersOptions {
  /**
   * Where a Redis is kept that had to be fetched because this machine has none. The default is `.eventflow/cache/redis` in the
   * working directory, where `eventflow up` keeps it too.
   */
  cacheDir?: string
  /** Gets what the servers report while they start, one line at a time. */
  log?: (line: string) => void
}

/** A running Postgres and Redis for any number of pipelines. */
export interface Servers extends ServerAddresses {
  /** Stops both and removes their data. They also stop when the process that started them ends, however it ends. */
  stop(): Promise<void>
}

/** The servers that this process has started for pipelines that were given none. */
let ours: Promise<Servers> | undefined

/** The servers of this process; they are started by the first call. */
export function serversOfThisProcess(options: ServersOptions): Promise<Servers> {
  ours ??= startServers(options).catch((error) => {
    ours = undefined
    throw error
  })
  return ours
}

/**
 * Starts a Postgres and a Redis with their data in a temporary folder. Only needed to share them between several test
 * processes: {@link startPipeline} starts them by itself.
 */
export async function startServers(options: ServersOptions = {}): Promise<Servers> {
  const { cacheDir, log = () => {} } = options
  const keeper = fork(fileURLToPath(new URL('./server-keeper.js', import.meta.url)), cacheDir ? [cacheDir] : [], {
    execArgv: [], // those of a test runner are not meant for it
    detached: true, // a Ctrl-C on the terminal ends us; the keeper then stops the servers in order
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const exited = once(keeper, 'exit')
  const addresses = await new Promise<ServerAddresses>((resolve, reject) => {
    keeper.on('error', reject)
    keeper.on('exit', () => reject(new Error('the process that starts Postgres and Redis has ended')))
    keeper.on('message', (message: FromKeeper) => {
      if (message.kind === 'line') log(message.line)
      else if (message.kind === 'failed') reject(new Error(`Postgres and Redis cannot start: ${message.message}`))
      else resolve(message.addresses)
    })
  })
  // The test process may end without having called `stop`.
  keeper.unref()
  keeper.channel?.unref()
  return {
    ...addresses,
    async stop() {
      keeper.ref()
      if (keeper.connected) keeper.disconnect()
      await exited
    },
  }
}
