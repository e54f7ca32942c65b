/** Redis for `npm start` and the tests: a real redis-server, found or fetched. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, realpath, rename, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isListener } from './listener.js'
import { keptPassword } from './passwords.js'
import { startOnPort } from './ports.js'
import { findRedis } from './redis-binary.js'
import { ask } from './redis-wire.js'
import { run } from './run.js'
import { findHome, type Home, makeFolderFor } from './server-home.js'
import { type LocalDatabase, launch, type ServerProcess, shellWord } from './server-process.js'
import { SetupError } from './setup-error.js'

const USUAL_PORT = 16379

/** Options of {@link startRedis}. */
export interface RedisOptions {
  /** The folder for its data and its log. One process at a time may use it. */
  dir: string
  /** The required port, 0 for any. Without it: 16379, or one near it if that is taken. */
  port?: number | undefined
  /** Where a fetched Redis is kept. */
  cacheDir: string
  log: (line: string) => void
}

/** The account of the pipeline's programs. It may not stop, reconfigure or empty the server, or make it a replica. */
const APPLICATION = 'eventflow'
const ITS_RIGHTS = '~* &* +@all -@admin -@dangerous +info +client +config|get'

/**
 * Starts Redis on 127.0.0.1, with an append-only file that is synced every second, and without eviction. Reuses
 * existing data in the folder; first stops a Redis that a killed process left running on it. Each of its two accounts
 * has a random password, kept in a file of the folder that only our account can read.
 */
export async function startRedis({ dir, port, cacheDir, log }: RedisOptions): Promise<LocalDatabase> {
  const home = await findHome('Redis', resolve(dir), log)
  const command = await findRedis(resolve(cacheDir), home, log)
  const place = await readPlace(home)
  await stopLeftover(place, log)
  await prepareData(place)
  const server = await startOnPort({ name: 'Redis', port, usual: USUAL_PORT, log }, (freePort) =>
    startServer(command, place, freePort, log),
  )
  log(`Redis is ready on port ${server.port}, with its data in ${home.dir}`)
  return server
}

/** Where a Redis keeps its data, and its password. */
interface Place extends Home {
  /** The administrator's password. */
  password: string
  applicationPassword: string
}

async function readPlace(home: Home): Promise<Place> {
  return {
    ...home,
    data: join(await realpath(home.dir), 'data'), // the form in which Redis reports it
    password: await keptPassword(passwordFile(home)),
    applicationPassword: await keptPassword(join(home.dir, 'application.password')),
  }
}

function passwordFile({ dir }: Home): string {
  return join(dir, 'administrator.password')
}

/** Moves data of an earlier version, which is in the parent folder and belongs to the account that started Redis. */
async function prepareData({ dir, data, account }: Place): Promise<void> {
  await makeFolderFor(account, data)
  const before = join(dir, 'appendonlydir')
  if (!existsSync(before)) return
  await rename(before, join(data, 'appendonlydir'))
  if (account.uid !== undefined) await run('chown', ['-R', `${account.uid}:${account.gid}`, data])
}

async function startServer(
  command: string,
  place: Place,
  port: number,
  log: (line: string) => void,
): Promise<LocalDatabase> {
  const { dir, data, account, password, applicationPassword } = place
  await writeFile(portFile(dir), `${port}\n`, { mode: 0o600 }) // first, so that a running Redis is always found
  const server = launch({
    name: 'Redis',
    command,
    args: ['-'], // its settings come on stdin: every user of the machine can see arguments
    input: [
      ...[`port ${port}`, 'bind 127.0.0.1', `dir ${JSON.stringify(data)}`],
      ...['save ""', 'appendonly yes', 'appendfsync everysec', 'maxmemory-policy noeviction'],
      `user default on #${sha256(password)} ~* &* +@all`,
      `user ${APPLICATION} on #${sha256(applicationPassword)} ${ITS_RIGHTS}`,
    ].join('\n'),
    cwd: dir,
    account,
    logFile: join(dir, 'redis.log'),
    problem: (line) => / # (.*)/.exec(line)?.[1],
    log,
  })
  await server.until(answers(place, port, server, log))
  const cli = command.replace(/-server$/, '-cli')
  return {
    url: `redis://${APPLICATION}:${applicationPassword}@127.0.0.1:${port}`,
    adminUrl: `redis://:${password}@127.0.0.1:${port}`,
    port,
    dir,
    shell: `REDISCLI_AUTH=$(cat ${shellWord(passwordFile(place))}) ${shellWord(cli)} -p ${port}`,
    exited: server.exited,
    stop: () => server.stop('SIGTERM', 30_000, 'SIGKILL'),
    kill: () => server.kill('SIGKILL'),
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Waits for the first PONG, without a limit while Redis answers LOADING. */
async function answers(place: Place, port: number, server: ServerProcess, log: (line: string) => void): Promise<void> {
  let over = false
  let loading = false
  server.exited.then(() => {
    over = true
  })
  for (let deadline = Date.now() + 30_000; !over; await delay(25)) {
    const answer = await askOurs(place, port, 'PING')
    if (answer?.startsWith('+PONG') && (await runsOn(place, port))) return
    if (answer?.startsWith('-LOADING')) {
      if (!loading) log('Redis is loading its data …')
      loading = true
      deadline = Date.now() + 30_000
    }
    if (Date.now() > deadline) throw new SetupError(`Redis does not answer on port ${port}: ${answer ?? 'no answer'}`)
  }
}

/** Redis does not detect another Redis in its folder: asks the one on the last start's port for its folder. */
async function stopLeftover(place: Place, log: (line: string) => void): Promise<void> {
  const { dir } = place
  const port = Number.parseInt(await readFile(portFile(dir), 'utf8').catch(() => ''), 10)
  if (!port || !(await runsOn(place, port))) return

  log(`stopping a Redis (port ${port}) left behind by an earlier run`)
  await askOurs(place, port, 'SHUTDOWN NOSAVE')
  for (const deadline = Date.now() + 10_000; await runsOn(place, port); await delay(50)) {
    if (Date.now() > deadline) throw new SetupError(`a Redis is running on ${dir} and does not stop: kill it first`)
  }
}

/** Whether the Redis on the port has this folder, or its parent as in an earlier version. */
async function runsOn(place: Place, port: number): Promise<boolean> {
  const { data } = place
  const answer = (await askOurs(place, port, 'CONFIG GET dir'))?.split('\r\n') ?? []
  return answer.includes(data) || answer.includes(dirname(data))
}

/** As `ask`, but `undefined` without sending the password if the program on the port is not ours. */
async function askOurs({ account, password }: Place, port: number, command: string): Promise<string | undefined> {
  // A Redis of an earlier version runs under our own account.
  if (!(await isListener(port, [account.uid, process.getuid?.()]))) return undefined
  return ask(port, password, command)
}

function portFile(dir: string): string {
  return join(dir, 'port')
}
