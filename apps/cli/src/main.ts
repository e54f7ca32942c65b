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
import { painter } from './log-line.js'
import { createOutput } from './output.js'
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
    '\nExit codes: 0 well, 1 not, 2 what is asked does not answer, 64 wrong usage, 130 stopped before the end.',
  )
  .exitOverride()

program
  .command('up')
  .description('Run the whole pipeline on this machine: Postgres, Redis, ingest and workers.')
  .addOption(
    new Option('--port <port>', 'HTTP port').env('EVENTFLOW_PORT').default(8000).argParser(wholeNumber(1, 65_535)),
  )
  .addOption(new Option('--workers <count>', 'how many workers').default(2).argParser(wholeNumber(1, 64)))
  .addOption(
    new Option('--metrics-port <port>', "for the first worker's health and metrics; the others have the next free ones")
      .env('EVENTFLOW_METRICS_PORT')
      .default(9101)
      .argParser(wholeNumber(1, 65_535)),
  )
  .option('--data-dir <folder>', 'data, logs, and a fetched Redis', '.eventflow')
  .addOption(
    new Option('--events <folder>', 'event definitions')
      .env('EVENTFLOW_EVENTS')
      .default('packages/samples/dist/events'),
  )
  .addHelpText('after', '\nDATABASE_URL and REDIS_URL name servers that are used instead of our own.')
  .addHelpText('after', '\nExample: eventflow up --workers 4 --events ./my-events')
  .action(async ({ port, workers, metricsPort, dataDir, events }) => {
    const { up } = await import('./up.js')
    const output = createOutput((text) => stdout.write(text), colours)
    const programs = {
      ingest: fileURLToPath(import.meta.resolve('@eventflow/ingest/main')),
      worker: fileURLToPath(import.meta.resolve('@eventflow/worker/main')),
      alerts: fileURLToPath(import.meta.resolve('@eventflow/alerts/main')),
    }
    const paths = { dataDir: resolve(dataDir), events: resolve(events) }
    await up({ port, workers, metricsPort, ...paths, programs, env, output, ...stopSignals() })
  })

/** A command that inspects a running pipeline: the environment or the folder of an `up` says where it is. */
const looking = (name: string, description: string, parent = program) =>
  parent
    .command(name)
    .description(description)
    .option(
      '--data-dir <folder>',
      'of a running eventflow up, where DATABASE_URL and REDIS_URL are not set',
      '.eventflow',
    )
    .option('--json', 'as JSON')

sqlCommand(looking('sql', 'Run SQL and print what it answers; without a statement, a prompt, or what comes in.'), {
  env,
  note,
  closed: closed.signal,
  end,
})

looking('workers', 'Show who is alive, who has died, and who has which partitions.')
  .addHelpText('after', '\nExit code: 0, 1 when no worker is alive, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow workers --json')
  .action(async ({ dataDir, json }) => {
    const { workers } = await import('./workers.js')
    process.exitCode = await workers(await findPostgres(env, resolve(dataDir)), { json, print })
  })

looking('lag', 'Show how far each partition is behind, and how old the oldest unsettled event is.')
  .option('--watch', 'again every second')
  .option('--max-seconds <seconds>', 'exit code 1 when the oldest unsettled event is older', wholeNumber(0, 1e9))
  .addHelpText('after', '\nExit code: 0, 1 when it is beyond --max-seconds, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow lag --watch')
  .action(async ({ dataDir, ...options }) => {
    const { lag } = await import('./lag.js')
    const addresses = await findAddresses(env, resolve(dataDir))
    const stop = AbortSignal.any([stopSignals().stop, closed.signal])
    const terminal = stdout.isTTY ? stdout : undefined
    process.exitCode = await lag(addresses, { ...options, print, terminal, stop })
  })

looking(
  'doctor',
  'Look for what is known to bite, in versions, settings, clocks, tables and streams, and say what to do.',
)
  .addHelpText('after', '\nExit code: 0, 1 when there are errors, 2 when Postgres or Redis does not answer.')
  .addHelpText('after', '\nExample: eventflow doctor')
  .action(async ({ dataDir, json }) => {
    const { doctor } = await import('./doctor/doctor.js')
    const addresses = await findAddresses(env, resolve(dataDir))
    const shells = await findShells(env, resolve(dataDir))
    process.exitCode = await doctor(addresses, { shells, json, paint: painter(colours), print: console.log })
  })

looking('migrate', 'Bring the database up to date, as ingest and workers do at their start.')
  .addOption(
    new Option('--partitions <count>', 'how many a new database gets; it cannot be changed later')
      .env('EVENTFLOW_PARTITIONS')
      .default(16)
      .argParser(wholeNumber(1, 1_024)),
  )
  .option('--dry-run', 'only say what is missing')
  .addHelpText('after', '\nExit code: 0, 1 when --dry-run finds something to do, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow migrate --dry-run')
  .action(async ({ dataDir, ...options }) => {
    const { migrate } = await import('./migrate.js')
    const asked = { ...options, bootstrapKey: env.EVENTFLOW_BOOTSTRAP_KEY, print }
    process.exitCode = await migrate(await findPostgres(env, resolve(dataDir)), asked)
  })

const keys = program.command('keys').description('Make, list and revoke API keys.')

/** A command about the keys of one tenant. */
const aboutKeys = (name: string, description: string) =>
  looking(name, description, keys).option('--tenant <tenant>', 'whose keys', 'default')

aboutKeys('create', 'Make an API key and print it. It is never shown again.')
  .requiredOption('--name <name>', 'whose it is, or what it is for')
  .addOption(new Option('--scopes <scopes>', 'what it may do: ingest,read,replay,admin').default('ingest,read'))
  .option('--expires-days <days>', 'how long it is valid; for ever where missing', wholeNumber(1, 3_650))
  .addHelpText('after', '\nExample: eventflow keys create --name checkout --scopes ingest')
  .action(async ({ dataDir, scopes, ...options }) => {
    const { createKey, readScopes } = await import('./keys.js')
    const asked = { ...options, scopes: readScopes(scopes), print }
    process.exitCode = await createKey(await findPostgres(env, resolve(dataDir)), asked)
  })

aboutKeys('list', 'Show the keys of a tenant: what each may do, when it was used, and whether it is valid.')
  .addHelpText('after', '\nExample: eventflow keys list --json')
  .action(async ({ dataDir, ...options }) => {
    const { listKeys } = await import('./keys.js')
    process.exitCode = await listKeys(await findPostgres(env, resolve(dataDir)), { ...options, print })
  })

aboutKeys('revoke', 'End a key, at once or in some hours, while the one that follows it is rolled out.')
  .argument('<id>', 'the part of the key between the underscores')
  .option('--after-hours <hours>', 'how long it is still valid', wholeNumber(0, 8_760))
  .addHelpText('after', '\nExit code: 0, 1 when there is no such key, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow keys revoke 5f0c1d2e3a4b --after-hours 24')
  .action(async (id, { dataDir, ...options }) => {
    const { revokeKey } = await import('./keys.js')
    const asked = { ...options, id, print }
    process.exitCode = await revokeKey(await findPostgres(env, resolve(dataDir)), asked)
  })

const aboutTenants = program.command('tenants').description('Make and list tenants.')

looking('create', 'Make a tenant.', aboutTenants)
  .argument('<tenant>', 'a-z, 0-9 and hyphens', tenantName)
  .addHelpText('after', '\nExample: eventflow tenants create acme')
  .action(async (id, { dataDir }) => {
    const { createNewTenant } = await import('./keys.js')
    process.exitCode = await createNewTenant(await findPostgres(env, resolve(dataDir)), { id, print })
  })

looking('limit', 'Set what a tenant may send in a second. What is not given is without a limit.', aboutTenants)
  .argument('<tenant>')
  .option('--events-per-second <count>', 'events', wholeNumber(1, 1e9))
  .option(
    '--bytes-per-second <count>',
    'bytes of the bodies that they come in, as they are inflated',
    wholeNumber(1, 1e12),
  )
  .addHelpText('after', '\nExample: eventflow tenants limit acme --events-per-second 500')
  .action(async (id, { dataDir, ...limits }) => {
    const { limitTenant } = await import('./keys.js')
    const asked = { ...limits, id, print }
    process.exitCode = await limitTenant(await findPostgres(env, resolve(dataDir)), asked)
  })

looking('list', 'Show the tenants and what they may send.', aboutTenants).action(async ({ dataDir, json }) => {
  const { tenants } = await import('./keys.js')
  process.exitCode = await tenants(await findPostgres(env, resolve(dataDir)), { json, print })
})

program
  .command('bench')
  .description('Measure how fast EventFlow is on this machine, next to other queues. In a checkout only.')
  .argument('[options...]', 'of npm run bench')
  .allowUnknownOption()
  .addHelpText('after', '\nExit code: that of npm run bench.')
  .addHelpText('after', '\nExample: eventflow bench --quick')
  .action(async (options) => {
    process.exitCode = await bench(options)
  })

program
  .command('completion')
  .description('Print a script that completes commands and options in a shell.')
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
  name: `${env.USER || env.LOGNAME || 'somebody'} at the command line`,
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
