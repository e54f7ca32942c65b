/** The command line. Commands load their code when they run, because most need neither Postgres nor Redis. */
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { printable } from '@eventflow/core'
import { SetupError } from '@eventflow/local'
import { Argument, Command, CommanderError, Option } from 'commander'
import { findAddresses, findPostgres, findServiceUrl, findShells, UnreachableError } from './addresses.js'
import { tenantName, UsageError, wholeNumber } from './arguments.js'
import { bench } from './bench.js'
import { completion, SHELLS } from './completion.js'
import { initCommand } from './init/init-command.js'
import { painter } from './log-line.js'
import { migrateCommand } from './migrate-command.js'
import { createOutput } from './output.js'
import { partsCommands } from './parts/parts-commands.js'
import { serviceCommands } from './service/commands.js'
import { sqlCommand } from './sql/sql-command.js'

const { env, stdout, stderr } = process
const colours = stdout.isTTY && !env.NO_COLOR
// The output was closed. A closed terminal stops us by SIGHUP; behind a closed pipe, watching commands stop by this
// signal.
const closed = new AbortController()
stdout.on('error', () => closed.abort())

// All output goes through here, or through the log and the doctor, which use colours: event texts must not control a
// terminal.
const print = (text: string) => console.log(printable(text))
const note = (text: string) => console.error(printable(text))
const end = (code: number) => {
  process.exitCode = code
}

const program = new Command('eventflow')
  .configureOutput({
    writeOut: (text) => stdout.write(printable(text)),
    writeErr: (text) => stderr.write(printable(text)),
  })
  .description('A durable event pipeline on Postgres and Redis.')
  .addHelpText(
    'after',
    '\nExit codes: 0 success, 1 failure, 2 no answer from Postgres, Redis or the service, 64 wrong usage, 130 interrupted.',
  )
  .exitOverride()

program
  .command('up')
  .description('Run the whole pipeline on this machine: Postgres, Redis, ingest and workers.')
  .addOption(
    new Option('--port <port>', 'HTTP port').env('EVENTFLOW_PORT').default(8000).argParser(wholeNumber(1, 65_535)),
  )
  .addOption(new Option('--workers <count>', 'number of workers').default(2).argParser(wholeNumber(1, 64)))
  .addOption(
    new Option('--metrics-port <port>', 'health and metrics of the first worker; the others get the next free ports')
      .env('EVENTFLOW_METRICS_PORT')
      .default(9101)
      .argParser(wholeNumber(1, 65_535)),
  )
  .option('--standby', 'also start a standby of Postgres, which answers lists, searches and eventflow sql')
  .option('--data-dir <folder>', 'folder for data, logs and a downloaded Redis', '.eventflow')
  .addOption(
    new Option('--events <folder>', 'folder with the event definitions')
      .env('EVENTFLOW_EVENTS')
      .default(fileURLToPath(new URL('events', import.meta.resolve('@eventflow/samples'))), 'the samples'),
  )
  .addHelpText('after', '\nIf DATABASE_URL or REDIS_URL is set, up uses that server instead of starting its own.')
  .addHelpText('after', '\nExample: eventflow up --workers 4 --events ./my-events')
  .action(async ({ port, workers, metricsPort, standby = false, dataDir, events }) => {
    const { up } = await import('./up.js')
    const output = createOutput((text) => stdout.write(text), colours)
    const programs = {
      ingest: fileURLToPath(import.meta.resolve('@eventflow/ingest/main')),
      worker: fileURLToPath(import.meta.resolve('@eventflow/worker/main')),
      alerts: fileURLToPath(import.meta.resolve('@eventflow/alerts/main')),
    }
    const paths = { dataDir: resolve(dataDir), events: resolve(events) }
    await up({ port, workers, metricsPort, standby, ...paths, programs, env, output, ...stopSignals() })
  })

initCommand(program, print)

/** A command that looks at a pipeline which runs somewhere: the environment says where, or the folder of an `up`. */
const looking = (name: string, description: string, parent = program) =>
  parent
    .command(name)
    .description(description)
    .option(
      '--data-dir <folder>',
      'data folder of a running eventflow up, if DATABASE_URL and REDIS_URL are not set',
      '.eventflow',
    )
    .option('--json', 'print JSON')

sqlCommand(looking('sql', 'Run SQL statements, from the argument, from stdin or at a prompt.'), {
  env,
  note,
  closed: closed.signal,
  end,
})

looking('workers', 'Show the workers, whether each is alive, and the partitions it owns.')
  .addHelpText('after', '\nExit code: 0, 1 when no worker is alive, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow workers --json')
  .action(async ({ dataDir, json }) => {
    const { workers } = await import('./workers.js')
    process.exitCode = await workers(await findPostgres(env, resolve(dataDir)), { json, print })
  })

looking('lag', 'Show the lag of each partition and the age of the oldest unsettled event.')
  .option('--watch', 'repeat every second')
  .option('--max-seconds <seconds>', 'exit with 1 if the oldest unsettled event is older', wholeNumber(0, 1e9))
  .addHelpText(
    'after',
    '\nExit code: 0, 1 when the oldest event is older than --max-seconds, 2 when Postgres does not answer.',
  )
  .addHelpText('after', '\nExample: eventflow lag --watch')
  .action(async ({ dataDir, ...options }) => {
    const { lag } = await import('./lag.js')
    const addresses = await findAddresses(env, resolve(dataDir))
    const stop = AbortSignal.any([stopSignals().stop, closed.signal])
    const terminal = stdout.isTTY ? stdout : undefined
    process.exitCode = await lag(addresses, { ...options, print, terminal, stop })
  })

looking('doctor', 'Check versions, settings, clocks, tables and streams for known problems, and print a fix for each.')
  .addHelpText('after', '\nExit code: 0, 1 when there are errors, 2 when Postgres or Redis does not answer.')
  .option('--restored', 'Postgres was restored from a backup: begin a new incarnation of the ledger first')
  .addHelpText('after', '\nExample: eventflow doctor')
  .action(async ({ dataDir, json, restored }) => {
    const { doctor } = await import('./doctor/doctor.js')
    const addresses = await findAddresses(env, resolve(dataDir))
    const shells = await findShells(env, resolve(dataDir))
    process.exitCode = await doctor(addresses, { shells, json, restored, paint: painter(colours), print: console.log })
  })

migrateCommand(looking('migrate', 'Apply missing migrations, as ingest and workers do when they start.'), {
  env,
  print,
  end,
})

partsCommands(looking, { env, print, note, end })

const keys = program.command('keys').description('Create, list and revoke API keys.')

/** A command about the keys of one tenant. */
const aboutKeys = (name: string, description: string) =>
  looking(name, description, keys).option('--tenant <tenant>', 'tenant of the keys', 'default')

aboutKeys('create', 'Create an API key and print it. It is not shown again.')
  .requiredOption('--name <name>', 'what the key is for')
  .addOption(new Option('--scopes <scopes>', 'any of ingest,read,replay,admin').default('ingest,read'))
  .option('--expires-days <days>', 'days until it expires; without this option it never expires', wholeNumber(1, 3_650))
  .addHelpText('after', '\nExample: eventflow keys create --name checkout --scopes ingest')
  .action(async ({ dataDir, scopes, ...options }) => {
    const { createKey, readScopes } = await import('./keys.js')
    const asked = { ...options, scopes: readScopes(scopes), print }
    process.exitCode = await createKey(await findPostgres(env, resolve(dataDir)), asked)
  })

aboutKeys('list', 'Show the API keys of a tenant with their scopes, last use and state.')
  .addHelpText('after', '\nExample: eventflow keys list --json')
  .action(async ({ dataDir, ...options }) => {
    const { listKeys } = await import('./keys.js')
    process.exitCode = await listKeys(await findPostgres(env, resolve(dataDir)), { ...options, print })
  })

aboutKeys('revoke', 'Revoke an API key, now or after some hours, so that its replacement can be rolled out.')
  .argument('<id>', 'the part of the key between the underscores')
  .option('--after-hours <hours>', 'hours until it is revoked', wholeNumber(0, 8_760))
  .addHelpText('after', '\nExit code: 0, 1 when there is no such key, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow keys revoke 5f0c1d2e3a4b --after-hours 24')
  .action(async (id, { dataDir, ...options }) => {
    const { revokeKey } = await import('./keys.js')
    const asked = { ...options, id, print }
    process.exitCode = await revokeKey(await findPostgres(env, resolve(dataDir)), asked)
  })

const aboutTenants = program.command('tenants').description('Create, limit and list tenants.')

looking('create', 'Create a tenant.', aboutTenants)
  .argument('<tenant>', 'a-z, 0-9 and hyphens', tenantName)
  .addHelpText('after', '\nExample: eventflow tenants create acme')
  .action(async (id, { dataDir }) => {
    const { createNewTenant } = await import('./keys.js')
    process.exitCode = await createNewTenant(await findPostgres(env, resolve(dataDir)), { id, print })
  })

looking('limit', 'Set the quotas of a tenant. A quota that is not given is removed.', aboutTenants)
  .argument('<tenant>')
  .option('--events-per-second <count>', 'events per second', wholeNumber(1, 1e9))
  .option('--bytes-per-second <count>', 'bytes of request bodies per second, after decompression', wholeNumber(1, 1e12))
  .addHelpText('after', '\nExample: eventflow tenants limit acme --events-per-second 500')
  .action(async (id, { dataDir, ...limits }) => {
    const { limitTenant } = await import('./keys.js')
    const asked = { ...limits, id, print }
    process.exitCode = await limitTenant(await findPostgres(env, resolve(dataDir)), asked)
  })

looking('list', 'Show the tenants and their quotas.', aboutTenants).action(async ({ dataDir, json }) => {
  const { tenants } = await import('./keys.js')
  process.exitCode = await tenants(await findPostgres(env, resolve(dataDir)), { json, print })
})

program
  .command('bench')
  .description('Compare the speed of EventFlow with other queues on this machine. Needs a checkout.')
  .argument('[options...]', 'options of npm run bench')
  .allowUnknownOption()
  .addHelpText('after', '\nExit code: that of npm run bench.')
  .addHelpText('after', '\nExample: eventflow bench --quick')
  .action(async (options) => {
    process.exitCode = await bench(options)
  })

program
  .command('completion')
  .description('Print a shell script that completes commands and options.')
  .addArgument(new Argument('<shell>').choices(SHELLS))
  .addHelpText(
    'after',
    '\nFor bash and zsh: source <(eventflow completion bash). For fish: eventflow completion fish | source',
  )
  .addHelpText('after', '\nExample: eventflow completion bash >> ~/.bashrc')
  .action((shell) => {
    print(completion(program, shell))
  })

serviceCommands(program, {
  apiKey: env.EVENTFLOW_API_KEY || undefined,
  name: `${env.USER || env.LOGNAME || 'unknown'} at the command line`,
  findUrl: (dataDir) => findServiceUrl(resolve(dataDir)),
  // Accessed only by commands that read it: Node then makes it non-blocking, also for other processes that have it
  // open.
  get stdin() {
    return process.stdin
  },
  stderr,
  print,
  note,
  confirm: isatty(0) && stderr.isTTY ? confirm : undefined,
  stop: () => AbortSignal.any([stopSignals().stop, closed.signal]),
  end,
})

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 64
  else {
    const isExpected = error instanceof SetupError || error instanceof UnreachableError || error instanceof UsageError
    note(isExpected ? `\n${error.message}` : inspect(error))
    process.exitCode = error instanceof UnreachableError ? 2 : error instanceof UsageError ? 64 : 1
  }
}

async function confirm(question: string): Promise<boolean> {
  const asking = createInterface({ input: process.stdin, output: stderr })
  try {
    // Ctrl-C and the end of the input close it without an answer.
    const answer = await Promise.race([asking.question(printable(question)), once(asking, 'close')])
    return /^y(es)?$/i.test(String(answer))
  } finally {
    asking.close()
  }
}

/**
 * The first Ctrl-C (or SIGTERM, or the end of the terminal) stops in order, a second one at once. npm forwards signals
 * that the terminal has already sent us, so signals within a second of the first count as the first.
 */
function stopSignals(): { stop: AbortSignal; kill: AbortSignal } {
  const [stop, kill] = [new AbortController(), new AbortController()]
  let firstAt = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) {
        firstAt = Date.now()
        stop.abort()
      } else if (Date.now() - firstAt > 1_000) {
        kill.abort()
        process.exit(130)
      }
    })
  }
  return { stop: stop.signal, kill: kill.signal }
}
