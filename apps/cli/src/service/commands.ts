/** The commands that talk to the service over HTTP. */
import { buffer } from 'node:stream/consumers'
import { EventText, type Operator, readEventFile, readEventLines } from '@eventflow/client'
import { COMPATIBILITY_MODES } from '@eventflow/core'
import { SetupError } from '@eventflow/local'
import { Argument, type Command, InvalidArgumentError, Option } from 'commander'
import { addToFilter, readMoment, UsageError, wholeNumber } from '../arguments.js'
import { createProgress, type ProgressOutput } from '../progress.js'
import type { Print } from '../table.js'
import { askService, type Service } from './ask-service.js'
import { groupDeadLetters, listDeadLetters, showDeadLetter } from './dead-letters.js'
import { getEvent, listEvents } from './events.js'
import { changeDeadLetters, follow } from './operation.js'
import {
  changeCompatibility,
  checkSchema,
  getSchema,
  listSchemas,
  listVersions,
  readSchemaFile,
  registerSchema,
} from './schemas.js'
import { sendAll, sendOne } from './send.js'
import { tail } from './tail.js'
import { trace } from './trace.js'

/** Where the commands run. */
export interface Surroundings {
  apiKey: string | undefined
  /** Who runs them. */
  name: string
  /** Where the service is when nothing says so. */
  findUrl: (dataDir: string) => Promise<string>
  stdin: NodeJS.ReadStream
  stderr: ProgressOutput
  print: Print
  note: Print
  /** Asks who sits at the terminal; missing when nobody does. */
  confirm: ((question: string) => Promise<boolean>) | undefined
  /** Stops what takes long. Listens from then on. */
  stop: () => AbortSignal
  /** The process is to end with this code. */
  end: (code: number) => void
}

const STATUSES = ['accepted', 'retrying', 'processed', 'failed', 'discarded']
const DEAD_STATUSES = ['open', 'replaying', 'replayed', 'discarded', 'all']

export function serviceCommands(program: Command, around: Surroundings): void {
  const { apiKey, name, print, note, stderr } = around

  const asking = (parent: Command, words: string, description: string) =>
    parent
      .command(words)
      .description(description)
      .addOption(new Option('--url <url>', 'where the service is').env('EVENTFLOW_URL').argParser(httpUrl))
      .option('--data-dir <folder>', 'of a running eventflow up, where no URL is given', '.eventflow')
      .option('--json', 'as JSON')

  const serviceOf = async ({ url, dataDir }: { url?: string; dataDir: string }): Promise<Service> => ({
    ...{ url: url ?? (await around.findUrl(dataDir)), apiKey, name },
  })
  const ask = async (options: { url?: string; dataDir: string }, work: (operator: Operator) => Promise<number>) =>
    around.end(await askService(await serviceOf(options), work))
  const long = () => ({ print, note, progress: createProgress(stderr), stop: around.stop() })

  asking(program, 'send', 'Send events: one from the options, or a file, or what comes in.')
    .argument('[file]', 'NDJSON or a JSON array, .gz or not; NDJSON comes in where neither it nor --type is given')
    .option('--type <type>', 'of the one event')
    .option('--data <json>', 'its data, an object; - reads it from what comes in')
    .option('--key <key>', 'what its order is kept by')
    .option('--id <id>', 'its id: the same id is the same event, however often it is sent')
    .option('--source <source>', 'where it comes from')
    .option('--time <time>', 'when it happened', readMoment)
    .option('--correlation-id <id>', 'what it belongs to')
    .option('--causation-id <id>', 'the event that caused it')
    .option('--wait [seconds]', 'for the one event: until it is settled, 30 s at the most', wholeNumber(1, 60))
    .addHelpText('after', '\nExit code: 0, 1 when not all was taken (with --wait: processed), 130 when it was stopped.')
    .addHelpText(
      'after',
      '\nExamples: eventflow send --type stock.moved --key cup --data \'{"sku":"cup","quantity":1}\' --wait',
    )
    .addHelpText('after', '          eventflow send events.ndjson')
    .action(async (file, options) => {
      const { json, wait } = options
      const service = await serviceOf(options)
      if (options.type !== undefined) {
        const waitSeconds = wait === true ? 30 : wait
        const event = await eventOf(options, around.stdin)
        return around.end(await sendOne(service, event, { json, print, note, ...(waitSeconds && { waitSeconds }) }))
      }
      if (wait !== undefined)
        throw new UsageError('--wait is for one event, given with --type. Of many: eventflow lag --watch')
      if (file === undefined && around.stdin.isTTY) {
        throw new UsageError(
          'Nothing to send: name a file, give --type and --data, or pipe NDJSON in. See eventflow send --help',
        )
      }
      const events = file === undefined ? readEventLines(around.stdin, 'what came in') : readEventFile(file)
      around.end(await sendAll(service, events, { json, ...long() }))
    })

  const searching = (command: Command) =>
    command
      .option('--type <type>', 'event type')
      .option('--key <key>', 'the key that order is kept by')
      .addOption(new Option('--status <status>', 'how they are').choices(STATUSES))
  const searchOf = ({ type, key, status, since, until, correlationId }: Record<string, string>) => ({
    ...{ type, key, status, from: since, to: until, correlation_id: correlationId },
  })

  searching(asking(program, 'tail', 'Follow the events as they come, and as their status changes.'))
    .option('-n, --last <count>', 'so many of those that are there come first', wholeNumber(0, 1_000), 10)
    .addHelpText('after', '\nCtrl-C ends it. Exit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow tail --type flight.completed --status failed')
    .action((options) =>
      ask(options, (operator) => tail(operator, searchOf(options), { ...options, print, note, stop: around.stop() })),
    )

  const events = program.command('events').description('Look at events: get, list, trace.')
  asking(events, 'get', 'One event: what it is, how it is, and its story.')
    .argument('<id>', 'its id, or the one it was sent with')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events get "goods-in 17"')
    .action((id, options) => ask(options, (operator) => getEvent(operator, id, { ...options, print, note })))
  searching(asking(events, 'list', 'The events that match, the last accepted first.'))
    .option('--correlation-id <id>', 'what they belong to')
    .option('--since <time>', 'accepted then or later: a moment, or 90s, 15m, 2h, 7d ago', readMoment)
    .option('--until <time>', 'accepted before', readMoment)
    .option('--limit <count>', 'so many at the most', wholeNumber(1, 100_000), 20)
    .addHelpText('after', '\nExit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events list --key DTW --status failed --since 2h')
    .action((options) =>
      ask(options, (operator) => listEvents(operator, searchOf(options), { ...options, print, note })),
    )
  asking(events, 'trace', 'All events of one correlation id: what caused what, and when what happened to each.')
    .argument('<correlation-id>')
    .addHelpText('after', '\nExit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events trace order-4711')
    .action((id, options) => ask(options, (operator) => trace(operator, id, { ...options, print, note })))

  const schemas = program
    .command('schemas')
    .description('Schemas of event types: ls, versions, get, check, register, compatibility.')
  asking(schemas, 'ls', 'The types that have a schema.')
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas ls')
    .action((options) => ask(options, (operator) => listSchemas(operator, { ...options, print, note })))
  asking(schemas, 'versions', 'The versions of the schema of a type, the first one first.')
    .argument('<type>')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas versions order.created')
    .action((type, options) => ask(options, (operator) => listVersions(operator, type, { ...options, print, note })))
  asking(schemas, 'get', 'The schema of a type, as JSON.')
    .argument('<type>')
    .addOption(new Option('--version <number>', 'another than the last').argParser(wholeNumber(1, 1e8)))
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas get order.created --version 1 > order.json')
    .action((type, options) => ask(options, (operator) => getSchema(operator, type, { ...options, print, note })))
  asking(schemas, 'check', 'Whether a schema could be the next version of a type.')
    .argument('<type>')
    .argument('<file>', 'JSON Schema 2020-12')
    .addHelpText('after', '\nExit code: 0, 1 when it could not, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas check order.created order.json')
    .action((type, file, options) =>
      ask(options, async (operator) =>
        checkSchema(operator, type, await readSchemaFile(file), { ...options, print, note }),
      ),
    )
  asking(schemas, 'register', 'Make a schema the next version of a type, for good.')
    .argument('<type>')
    .argument('<file>', 'JSON Schema 2020-12')
    .addHelpText('after', '\nExit code: 0, 1 when it is refused, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas register order.created order.json')
    .action((type, file, options) =>
      ask(options, async (operator) =>
        registerSchema(operator, type, await readSchemaFile(file), { ...options, print, note }),
      ),
    )

  asking(schemas, 'compatibility', 'What a new version of a type must be to those before it; with a mode, sets it.')
    .argument('<type>')
    .addArgument(new Argument('[mode]', 'from now on').choices(COMPATIBILITY_MODES))
    .addHelpText('after', '\nExit code: 0, 1 when it is refused, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas compatibility order.created FULL')
    .action((type, mode, options) =>
      ask(options, (operator) => changeCompatibility(operator, type, mode, { ...options, print, note })),
    )

  const dlq = program.command('dlq').description('Dead letters: ls, show, replay, discard.')
  const filtering = (command: Command) =>
    command.option(
      '--filter <name=value...>',
      'which: type, error-class, key, id, since, until; all that is given must hold',
      addToFilter,
    )
  filtering(asking(dlq, 'ls', 'What failed for good, the last accepted first.'))
    .addOption(new Option('--status <status>', 'how they are').choices(DEAD_STATUSES).default('open'))
    .option('--group', 'how many there are of each type and error class')
    .option('--limit <count>', 'so many at the most', wholeNumber(1, 1_000), 20)
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow dlq ls --filter type=flight.completed since=2h --group')
    .action(({ filter = {}, ...options }) => {
      if (filter.ids) throw new UsageError(`One dead letter: eventflow dlq show ${filter.ids[0]}`)
      const list = options.group ? groupDeadLetters : listDeadLetters
      return ask(options, (operator) => list(operator, filter, { ...options, print, note }))
    })
  asking(dlq, 'show', 'One dead letter: what was wrong, every attempt, its data.')
    .argument('<id>', 'of the event')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow dlq show "sale 4711" --json')
    .action((id, options) => ask(options, (operator) => showDeadLetter(operator, id, { ...options, print, note })))

  const changing = (action: 'replay' | 'discard', description: string) =>
    filtering(asking(dlq, action, description))
      .option('--all', 'every open dead letter, where no filter is given')
      .option('--rate <events>', 'so many a second at the most', wholeNumber(1, 10_000))
      .option('--dry-run', 'only count, and show some')
      .option('--yes', 'do not ask')
      .addHelpText('after', '\nCounts first, and asks. It goes on when this command is stopped.')
      .addHelpText(
        'after',
        'Exit code: 0, 1 when it was not wanted or not finished, 2 when the service does not answer,',
      )
      .addHelpText('after', '130 when it goes on without us.')
      .action(({ filter, all, rate, schemaVersion, reason, ...options }) => {
        if (!filter && !all)
          throw new UsageError('Which ones? Name them with --filter, or say --all. See eventflow dlq ls --group')
        const how = { ...(rate && { rate }), ...(schemaVersion && { schema_version: schemaVersion }) }
        const order = { filter: filter ?? {}, ...how, ...(reason && { reason }) }
        return ask(options, (operator) =>
          changeDeadLetters(operator, action, order, { ...options, confirm: around.confirm, ...long() }),
        )
      })
  changing('replay', 'Send dead letters on their way again, in the order in which they were accepted.')
    .option('--reason <text>', 'why, for the audit log')
    .option('--schema-version <number>', 'read them as this version of their schema', wholeNumber(1, 999_999_999))
    .addHelpText('after', '\nExample: eventflow dlq replay --filter error-class=TransientError since=2h --rate 50')
  changing('discard', 'Say that dead letters will never be processed, and why. They are kept.')
    .requiredOption('--reason <text>', 'why; kept with them')
    .addHelpText(
      'after',
      '\nExample: eventflow dlq discard --filter type=order.created --reason "sent by a broken test"',
    )
  asking(dlq, 'operation', 'Watch a replay or a discard to its end; resume or cancel it.')
    .argument('<id>', 'as it was told when it began')
    .addOption(new Option('--cancel', 'end it; what it has done stays done').conflicts('resume'))
    .option('--resume', 'go on with one that was interrupted')
    .addHelpText('after', '\nExit code: as of replay.')
    .addHelpText('after', '\nExample: eventflow dlq operation 0190b2c4-0000-7000-8000-000000000000 --cancel')
    .action((id, { cancel, resume, ...options }) =>
      ask(options, async (operator) => {
        const change = cancel ? 'cancel' : resume ? 'resume' : undefined
        const operation = change ? await operator.change(id, change) : await operator.operation(id)
        if (!operation) throw new SetupError(`There is no operation with the id ${id}.`)
        return follow(operator, operation, { ...options, ...long() })
      }),
    )
}

function httpUrl(given: string): string {
  if (/^https?:/.test(given) && URL.canParse(given)) return given
  throw new InvalidArgumentError('It must begin with http:// or https://.')
}

/** The event that the options describe, with its data as it is written. */
async function eventOf(options: Record<string, string | undefined>, stdin: NodeJS.ReadStream): Promise<EventText> {
  const { type, data: given = '{}', key, id, source, time, correlationId, causationId } = options
  const data = given === '-' ? utf8(await buffer(stdin)) : given
  if (!isJsonObject(data)) throw new UsageError(`--data is no JSON object. In a shell: --data '{"name": "value"}'`)
  const named = { type, id, source, time, partitionkey: key, correlationid: correlationId, causationid: causationId }
  return new EventText(`${JSON.stringify(named).slice(0, -1)},"data":${data}}`)
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UsageError('What came in for --data is not UTF-8.')
  }
}

function isJsonObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
