/** The readable log contains no control characters that a terminal would obey. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { prettyFactory } from 'pino-pretty'
import { createLog } from './log.js'
import { printableOnceRead } from './printable-once-read.js'

const settings = { EVENTFLOW_LOG_LEVEL: 'info', EVENTFLOW_LOG_BATCHES_PER_SECOND: 1 }
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\x1b', '\x9b', '\x07', '\x7f', '\u202e', '\u2028', '\\', '\r', '"', 'u'),
    fc.string(),
  ),
})

/** What the log writes for these fields, as JSON. */
function logged(fields: object, text: string): string {
  const lines: string[] = []
  createLog('test', settings, {}, { write: (line) => lines.push(line) }).info(fields, text)
  return lines.join('')
}

test('as JSON and as pino-pretty prints it', () => {
  const pretty = prettyFactory({ colorize: false, ignore: 'pid,hostname,service' })
  fc.assert(
    fc.property(hostile, hostile, (value, text) => {
      const line = logged({ reason: value, err: new Error(value), in: [value] }, text)
      expect(line).not.toMatch(OBEYED)
      expect(JSON.parse(line)).toMatchObject({ msg: text, reason: value })
      expect(String(pretty(printableOnceRead(line)))).not.toMatch(OBEYED)
    }),
  )
})
