/** Redis for `npm start` and the tests: a real redis-server, found or fetched. */
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startOnPort } from './ports.js'
import { findRedis } from './redis-binary.js'
import { ask } from './redis-wire.js'
import { type LocalServer, launch, type ServerProcess } from './server-process.js'
import { SetupError } from './setup-error.js'

const USUAL_PORT = 16379

/** Options of {@link startRedis}. */
export interface RedisOptions {
  /** The folder for its data and its log. One process at a time may use it. */
  dir: string
  /** The port it must have, 0 for any. Without it: 16379, or one near it when that is taken. */
  port?: number | undefined
  /** Where a fetched Redis is kept. */
  cacheDir: string
  log: (line: string) => void
}

/**
 * Starts Redis on 127.0.0.1, with an append-only file that is synced every second, and without eviction. Data that is
 * in the folder already is used again; a Redis that a killed process left on it is stopped first.
 */
export async function startRedis({ dir, port, cacheDir, log }: RedisOptions): Promise<LocalServer> {
  const command = await findRedis(resolve(cacheDir), log)
  await mkdir(dir, { recursive: true })
  const home = await realpath(dir)
  await stopLeftover(home, log)
  const server = await startOnPort({ name: 'Redis', port, usual: USUAL_PORT, log }, (freePort) =>
    startServer(command, home, freePort, log),
  )
  log(`Redis is ready on port ${server.port}, its data is in ${home}`)
  return server
}

async function startServer(
  command: string,
  dir: string,
  port: number,
  log: (line: string) => void,
): Promise<LocalServer> {
  await writeFile(portFile(dir), `${port}\n`) // before the start: a Redis that runs here can always be found
  const server = launch({
    name: 'Redis',
    command,
    args: [
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir],
      ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
    ],
    cwd: dir,
    logFile: join(dir, 'redis.log'),
    problem: (line) => / # (.*)/.exec(line)?.[1],
    log,
  })
  await server.until(answers(dir, port, server, log))
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dir,
    shell: `${command.replace(/-server$/, '-cli')} -p ${port}`,
    exited: server.exited,
    stop: () => server.stop('SIGTERM', 30_000, 'SIGKILL'),
    kill: () => server.kill('SIGKILL'),
  }
}

/** Waits for the first PONG. While Redis reads its data it answers LOADING: that may take as long as it takes. */
async function answers(dir: string, port: number, server: ServerProcess, log: (line: string) => void): Promise<void> {
  let over = false
  let loading = false
  server.exited.then(() => {
    over = true
  })
  for (let deadline = Date.now() + 30_000; !over; await delay(25)) {
    const answer = await ask(port, 'PING')
    if (answer?.startsWith('+PONG') && (await runsOn(dir, port))) return
    if (answer?.startsWith('-LOADING')) {
      if (!loading) log('Redis is loading its data …')
      loading = true
      deadline = Date.now() + 30_000
    }
    if (Date.now() > deadline) throw new SetupError(`Redis does not answer on port ${port}: ${answer ?? 'silence'}`)
  }
}

/** Redis does not notice a second one in its folder, so we must: asks the port of the last start whose folder it has. */
async function stopLeftover(dir: string, log: (line: string) => void): Promise<void> {
  const port = Number.parseInt(await readFile(portFile(dir), 'utf8').catch(() => ''), 10)
  if (!port || !(await runsOn(dir, port))) return

  log(`stopping a Redis (port ${port}) that an earlier run left behind`)
  await ask(port, 'SHUTDOWN NOSAVE')
  for (const deadline = Date.now() + 10_000; await runsOn(dir, port); await delay(50)) {
    if (Date.now() > deadline) throw new SetupError(`a Redis is running on ${dir} and does not stop: kill it first`)
  }
}

async function runsOn(dir: string, port: number): Promise<boolean> {
  return (await ask(port, 'CONFIG GET dir'))?.split('\r\n').includes(dir) ?? false
}

function portFile(dir: string): string {
  return join(dir, 'port')
}
