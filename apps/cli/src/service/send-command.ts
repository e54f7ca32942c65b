/** The command `eventflow send`. */
import { buffer } from 'node:stream/consumers'
import { EventText, readEventFile, readEventLines } from '@eventflow/client'
import type { Command } from 'commander'
import { readMoment, UsageError, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import { sendAll, sendOne } from './send.js'

export function sendCommand(program: Command, { around, command, serviceOf, long }: Asking): void {
  const { print, note } = around
  command(program, 'send', 'Send events: one from the options, or many from a file or stdin.')
    .argument('[file]', 'NDJSON or a JSON array, also as .gz; without a file and --type, NDJSON is read from stdin')
    .option('--type <type>', 'type of the single event')
    .option('--data <json>', 'its data, a JSON object; - reads it from stdin')
    .option('--key <key>', 'its ordering key')
    .option('--id <id>', 'its id; an event sent again with the same id is a duplicate')
    .option('--source <source>', 'its source')
    .option('--time <time>', 'the time it happened', readMoment)
    .option('--correlation-id <id>', 'its correlation id')
    .option('--causation-id <id>', 'id of the event that caused it')
    .option('--wait [seconds]', 'wait until the single event is settled, by default at most 30 s', wholeNumber(1, 60))
    .addHelpText(
      'after',
      '\nExit code: 0, 1 when an event was not accepted (with --wait: not processed), 130 when stopped.',
    )
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
        throw new UsageError(
          '--wait works only with a single event, given with --type. For many: eventflow lag --watch',
        )
      if (file === undefined && around.stdin.isTTY) {
        throw new UsageError(
          'Nothing to send: pass a file, --type and --data, or NDJSON on stdin. See eventflow send --help',
        )
      }
      const events = file === undefined ? readEventLines(around.stdin, 'stdin') : readEventFile(file)
      around.end(await sendAll(service, events, { json, ...long() }))
    })
}

/** Builds the event of the options; its data is not changed. */
async function eventOf(options: Record<string, string | undefined>, stdin: NodeJS.ReadStream): Promise<EventText> {
  const { type, data: given = '{}', key, id, source, time, correlationId, causationId } = options
  const data = given === '-' ? utf8(await buffer(stdin)) : given
  if (!isJsonObject(data)) throw new UsageError(`--data is not a JSON object. In a shell: --data '{"name": "value"}'`)
  const named = { type, id, source, time, partitionkey: key, correlationid: correlationId, causationid: causationId }
  return new EventText(`${JSON.stringify(named).slice(0, -1)},"data":${data}}`)
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UsageError('The --data on stdin is not UTF-8.')
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
