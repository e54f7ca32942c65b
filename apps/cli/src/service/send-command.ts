/** The command `eventflow send`. */
import { buffer } from 'node:stream/consumers'
import { EventText, readEventFile, readEventLines } from '@eventflow/client'
import type { Command } from 'commander'
import { readMoment, UsageError, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import { sendAll, sendOne } from './send.js'

export function sendCommand(program: Command, { around, command, serviceOf, long }: Asking): void {
  const { print, note } = around
  command(program, 'send', 'Send events: one from the options, or a file, or what comes in.')
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
}

/** Builds the event of the options; its data is not changed. */
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
