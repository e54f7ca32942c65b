/** The command line. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SetupError } from '@eventflow/local'
import { Command, InvalidArgumentError, Option } from 'commander'
import { findAddresses, findPostgres, UnreachableError } from './addresses.js'
import { doctor } from './doctor/doctor.js'
import { lag } from './lag.js'
import { painter } from './log-line.js'
import { migrate } from './migrate.js'
import { createOutput } from './output.js'
import { sql } from './sql.js'
import { up } from './up.js'
import { workers } from './workers.js'

const { env, stdout } = process
const colours = stdout.isTTY && !env.NO_COLOR
// Whoever read it is gone. A terminal that was closed stops us by SIGHUP, in order; behind a pipe, what watches stops by this.
const closed = new AbortController()
stdout.on('error', () => closed.abort())

const program = new Command('eventflow').description('A durable event pipeline on Postgres and Redis.')

program
  .command('up')
  .description('Run the whole pipeline on this machine: Postgres, Redis, ingest and workers.')
  .addOption(
    new Option('--port <port>', 'HTTP port').env('EVENTFLOW_PORT').default(8000).argParser(wholeNumber(1, 65_535)),
  )
  .addOption(new Option('--workers <count>', 'how many workers').default(2).argParser(wholeNumber(1, 64)))
  .option('--data-dir <folder>', 'data, logs, and a fetched Redis', '.eventflow')
  .addOption(
    new Option('--events <folder>', 'event definitions')
      .env('EVENTFLOW_EVENTS')
      .default('packages/samples/dist/events'),
  )
  .addHelpText('after', '\nDATABASE_URL and REDIS_URL name servers that are used instead of our own.')
  .addHelpText('after', '\nExample: eventflow up --workers 4 --events ./my-events')
  .action(async ({ port, workers, dataDir, events }) => {
    const output = createOutput((text) => stdout.write(text), colours)
    const programs = {
      ingest: fileURLToPath(import.meta.resolve('@eventflow/ingest/main')),
      worker: fileURLToPath(import.meta.resolve('@eventflow/worker/main')),
      alerts: fileURLToPath(import.meta.resolve('@eventflow/alerts/main')),
    }
    const paths = { dataDir: resolve(dataDir), events: resolve(events) }
    await up({ port, workers, ...paths, programs, env, output, ...stopSignals() })
  })

/** A command that looks at a pipeline which runs somewhere: the environment says where, or the folder of an `up`. */
const looking = (name: string, description: string) =>
  program
    .command(name)
    .description(description)
    .option(
      '--data-dir <folder>',
      'of a running eventflow up, where DATABASE_URL and REDIS_URL are not set',
      '.eventflow',
    )
    .option('--json', 'as JSON')

looking('sql', 'Run one SQL statement and print its rows.')
  .argument('<statement>')
  .addHelpText('after', '\nExample: eventflow sql "SELECT status, count(*) FROM events GROUP BY status"')
  .action(async (statement, { dataDir, json }) => {
    const rows = await sql(await findPostgres(env, resolve(dataDir)), statement)
    if (json) console.log(JSON.stringify(rows))
    else console.table(rows)
  })

looking('workers', 'Show who is alive, who has died, and who has which partitions.')
  .addHelpText('after', '\nExit code: 0, 1 when no worker is alive, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow workers --json')
  .action(async ({ dataDir, json }) => {
    process.exitCode = await workers(await findPostgres(env, resolve(dataDir)), { json, print: console.log })
  })

looking('lag', 'Show how far each partition is behind, and how old the oldest unsettled event is.')
  .option('--watch', 'again every second')
  .option('--max-seconds <seconds>', 'exit code 1 when the oldest unsettled event is older', wholeNumber(0, 1e9))
  .addHelpText('after', '\nExit code: 0, 1 when it is beyond --max-seconds, 2 when Postgres does not answer.')
  .addHelpText('after', '\nExample: eventflow lag --watch')
  .action(async ({ dataDir, ...options }) => {
    const addresses = await findAddresses(env, resolve(dataDir))
    const stop = AbortSignal.any([stopSignals().stop, closed.signal])
    const terminal = stdout.isTTY ? stdout : undefined
    process.exitCode = await lag(addresses, { ...options, print: console.log, terminal, stop })
  })

looking(
  'doctor',
  'Look for what is known to bite, in versions, settings, clocks, tables and streams, and say what to do.',
)
  .addHelpText('after', '\nExit code: 0, 1 when there are errors, 2 when Postgres or Redis does not answer.')
  .addHelpText('after', '\nExample: eventflow doctor')
  .action(async ({ dataDir, json }) => {
    const addresses = await findAddresses(env, resolve(dataDir))
    const shells = {
      psql: `psql ${env.DATABASE_URL ? '"$DATABASE_URL"' : addresses.postgres}`,
      redisCli: `redis-cli -u ${env.REDIS_URL ? '"$REDIS_URL"' : addresses.redis}`,
    }
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
    process.exitCode = await migrate(await findPostgres(env, resolve(dataDir)), { ...options, print: console.log })
  })

try {
  await program.parseAsync()
} catch (error) {
  const expected = error instanceof SetupError || error instanceof UnreachableError
  console.error(expected ? `\n${error.message}` : error)
  process.exitCode = error instanceof UnreachableError ? 2 : 1
}

/**
 * The first Ctrl-C (or SIGTERM, or the end of the terminal) stops in order, a second one at once. npm passes on to us
 * what the terminal has sent us already, so what comes within a second of the first is the first.
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

function wholeNumber(lowest: number, highest: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (Number.isInteger(number) && number >= lowest && number <= highest) return number
    throw new InvalidArgumentError(`A whole number from ${lowest} to ${highest}.`)
  }
}
