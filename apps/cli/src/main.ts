/** The command line. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SetupError } from '@eventflow/local'
import { Command, InvalidArgumentError, Option } from 'commander'
import { createOutput } from './output.js'
import { sql } from './sql.js'
import { up } from './up.js'

const { env, stdout } = process
stdout.on('error', () => {}) // the terminal was closed: that stops us by SIGHUP, in order

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
    const output = createOutput((text) => stdout.write(text), stdout.isTTY && !env.NO_COLOR)
    const programs = {
      ingest: fileURLToPath(import.meta.resolve('@eventflow/ingest/main')),
      worker: fileURLToPath(import.meta.resolve('@eventflow/worker/main')),
    }
    const paths = { dataDir: resolve(dataDir), events: resolve(events) }
    await up({ port, workers, ...paths, programs, env, output, ...stopSignals() })
  })

program
  .command('sql')
  .description('Run one SQL statement and print its rows.')
  .argument('<statement>')
  .addOption(
    new Option('--url <url>', 'the database')
      .env('DATABASE_URL')
      .default('postgres://eventflow:eventflow@127.0.0.1:15432/eventflow'),
  )
  .option('--json', 'as JSON')
  .addHelpText('after', '\nExample: eventflow sql "SELECT status, count(*) FROM events GROUP BY status"')
  .action(async (statement, { url, json }) => {
    const rows = await sql(url, statement).catch((error) => program.error(`Postgres: ${error.message}`))
    if (json) console.log(JSON.stringify(rows))
    else console.table(rows)
  })

try {
  await program.parseAsync()
} catch (error) {
  console.error(error instanceof SetupError ? `\n${error.message}` : error)
  process.exitCode = 1
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
