/**
 * The load producer: `npm run producer -- --file flights --wait`. Exit codes: 0 success, 1 not all was sent or settled,
 * 2 wrong usage, 130 Ctrl-C.
 */
import { createClient, type EventText, type OutgoingEvent, RequestFailed, readEventFile } from '@eventflow/client'
import { flightEvents, weatherEvents } from '@eventflow/samples'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { mixed, mixedCount } from './producer/mix.js'
import { createOrders } from './producer/orders.js'
import { showProgress } from './producer/progress.js'
import { createRandom } from './producer/random.js'
import { describeReport, type Report } from './producer/report.js'
import { explain, run } from './producer/run.js'
import { createCounter } from './producer/tally.js'

interface Options {
  url: string
  apiKey?: string
  count?: number
  file?: string
  seed?: number
  keySkew: number
  duplicates: number
  invalid: number
  rate: number
  concurrency?: number
  batch: number
  wait?: number | true
  json?: true
}

const DEFAULT_COUNT = 10_000
const DEFAULT_WAIT_SECONDS = 600
const DEFAULT_CONCURRENCY = 8
/** By the names that `--file` takes for them. */
const SAMPLES: Readonly<Record<string, () => Promise<OutgoingEvent[]>>> = {
  flights: flightEvents,
  weather: weatherEvents,
}
/** The time of the first order if there is a seed. */
const SEEDED_START_MS = Date.UTC(2026, 0, 1)

const program = new Command('producer')
  .description('Sends events to EventFlow, as fast as it takes them or at a given rate; the order of each key is kept.')
  .option('--url <url>', 'where the server is', httpUrl, 'http://127.0.0.1:8000')
  .option('--api-key <key>', 'the key to send with')
  .option(
    '--file <path>',
    'send this file (NDJSON or a JSON array, .gz or not), "flights": 20,000 real flights, or "weather"',
  )
  .option(
    '--count <events>',
    `at most so many events (default: the whole file; without a file ${DEFAULT_COUNT} orders)`,
    wholeNumber,
  )
  .option('--rate <events>', 'events a second, whether answers come or not', positiveNumber, Number.POSITIVE_INFINITY)
  .option(
    '--concurrency <requests>',
    `requests under way at once; a key always takes the same way (default: ${DEFAULT_CONCURRENCY}; the samples are sent in the order of time: 1)`,
    positiveWholeNumber,
  )
  .option('--batch <events>', 'events in one request at most; 1 sends single events', positiveWholeNumber, 100)
  .option('--key-skew <exponent>', "how unequally orders are spread over users: Zipf's exponent", nonNegativeNumber, 0)
  .option('--duplicates <share>', 'share of the events that are sent again, with the same id', share, 0)
  .option('--invalid <share>', 'share of the events whose data is wrong', share, 0)
  .option('--seed <number>', 'make the same orders, with the same ids, as every time with this seed', wholeNumber)
  .option('--wait [seconds]', `then wait until all is settled (default ${DEFAULT_WAIT_SECONDS})`, positiveNumber)
  .option('--json', 'the report as JSON')
  .addHelpText(
    'after',
    '\nExample: npm run producer -- --count 100000 --rate 5000 --key-skew 1 --duplicates 0.01 --wait',
  )
  .exitOverride()

try {
  program.parse()
  process.exitCode = await main(program.opts<Options>())
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}

async function main(options: Options): Promise<number> {
  const { url, apiKey, rate, batch, wait, file } = options
  const concurrency = options.concurrency ?? (file && Object.hasOwn(SAMPLES, file) ? 1 : DEFAULT_CONCURRENCY)
  const stop = new AbortController()
  const stopped = onceInterrupted(stop)
  const { events, total } = await eventsOf(options)
  const counter = createCounter()
  const connection = { url, ...(apiKey !== undefined && { apiKey }) }
  const client = createClient({
    ...connection,
    connections: concurrency,
    giveUpAfterMs: 30_000,
    onRequest: counter.countRequest,
  })
  const probe = createClient({ ...connection, giveUpAfterMs: 0 })
  const progress = showProgress({ counter, total, out: process.stderr })
  const load = { events, rate, concurrency, batch, waitSeconds: wait === true ? DEFAULT_WAIT_SECONDS : wait }
  try {
    const report = await run(load, { client, probe, counter, progress, stop }).finally(progress.end)
    console.log(options.json ? JSON.stringify(report) : describeReport(report))
    return stopped() ? 130 : exitCodeOf(report)
  } catch (error) {
    throw error instanceof RequestFailed ? new Error(explain(error, url)) : error
  } finally {
    await Promise.all([client.close(), probe.close()])
  }
}

/** The events to send and, if known, their number. */
async function eventsOf(
  options: Options,
): Promise<{ events: AsyncIterable<OutgoingEvent | EventText>; total: number | undefined }> {
  const { file, keySkew, invalid, duplicates } = options
  const seed = options.seed ?? Date.now()
  const startMs = options.seed === undefined ? Date.now() : SEEDED_START_MS
  const shares = { invalid, duplicates }
  const mix = (
    source: Iterable<OutgoingEvent> | AsyncIterable<OutgoingEvent | EventText>,
    count: number,
    total: number | undefined,
  ) => ({
    events: mixed(source, count, shares, createRandom(seed)),
    total: total === undefined ? undefined : mixedCount(Math.min(total, count), shares),
  })
  if (file === undefined) {
    const count = options.count ?? DEFAULT_COUNT
    return mix(createOrders({ count, startMs, seed, keySkew }), count, count)
  }
  const count = options.count ?? Number.POSITIVE_INFINITY
  const sample = await SAMPLES[file]?.()
  return sample ? mix(sample, count, sample.length) : mix(eventsIn(file), count, options.count)
}

/**
 * The events of a file. @throws {Error} naming the first row that is not an event: the input of a load must be sound
 */
async function* eventsIn(file: string): AsyncGenerator<EventText> {
  for await (const row of readEventFile(file)) {
    if ('error' in row) throw row.error
    yield row.event
  }
}

/** The first Ctrl-C stops sending and reports; the second one ends the process. Returns whether there was one. */
function onceInterrupted(stop: AbortController): () => boolean {
  let interrupted = false
  process.once('SIGINT', () => {
    interrupted = true
    stop.abort()
  })
  return () => interrupted
}

function exitCodeOf({ undelivered, settled }: Report): number {
  return undelivered > 0 || (settled?.unsettled ?? 0) > 0 ? 1 : 0
}

function httpUrl(text: string): string {
  if (/^https?:\/\/[^/]/.test(text) && URL.canParse(text)) return text.replace(/\/$/, '')
  throw new InvalidArgumentError('An address such as http://127.0.0.1:8000.')
}

function wholeNumber(text: string): number {
  return checked(text, (number) => Number.isSafeInteger(number) && number >= 0, 'A whole number from 0 on.')
}

function positiveWholeNumber(text: string): number {
  return checked(text, (number) => Number.isSafeInteger(number) && number > 0, 'A whole number from 1 on.')
}

function positiveNumber(text: string): number {
  return checked(text, (number) => number > 0, 'A number above 0.')
}

function nonNegativeNumber(text: string): number {
  return checked(text, (number) => number >= 0, 'A number from 0 on.')
}

function share(text: string): number {
  return checked(text, (number) => number >= 0 && number <= 1, 'A number from 0 to 1.')
}

function checked(text: string, isRight: (number: number) => boolean, expected: string): number {
  const number = Number(text)
  if (text.trim() !== '' && isRight(number)) return number
  throw new InvalidArgumentError(expected)
}
