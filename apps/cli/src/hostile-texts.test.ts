/**
 * Event texts that could control a terminal: no command prints them unescaped, and JSON output keeps them unchanged.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { painter, readable, said } from './log-line.js'
import { createOutput } from './output.js'
import { table } from './table.js'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

/**
 * Clears the screen, sets the title, reverses the direction of writing, and begins a line that looks like one of ours.
 */
const HOSTILE = '\x1b[2J\x1b]0;t\x07\x9b31m\u202e\u2066\u2028\x7f\r\nstatus       processed'
const MAIN = join(import.meta.dirname, 'main.js')

const definition = defineEvent({
  type: 'text.sent',
  schema: Type.Object({ text: Type.String() }),
  handle: async ({ data }) => {
    throw new PermanentError(data.text)
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([definition])
  await pipeline.startWorker()
  const attributes = { id: HOSTILE, partitionkey: HOSTILE, correlationid: HOSTILE, causationid: HOSTILE }
  await pipeline.send([{ type: 'text.sent', ...attributes, data: { text: HOSTILE } }])
  await pipeline.drained()
})

afterAll(async () => {
  await pipeline.stop()
})

function start(args: readonly string[]) {
  const env = { PATH: process.env.PATH, EVENTFLOW_URL: pipeline.url, DATABASE_URL: pipeline.databaseUrl }
  return spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function printed(...args: readonly string[]): Promise<string> {
  const child = start(args)
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return out + err
}

test.each([
  ['events', 'get', HOSTILE],
  ['events', 'list'],
  ['events', 'trace', HOSTILE],
  ['dlq', 'ls'],
  ['dlq', 'show', HOSTILE],
  ['dlq', 'replay', '--all', '--dry-run'],
  ['sql', 'SELECT key, payload, message FROM failed_events'],
])('eventflow %s %s', async (...words) => {
  const out = await printed(...words.filter((word) => word !== undefined))
  expect(out).toContain('\\u001b[2J')
  expect(out).not.toMatch(OBEYED)
  expect(out.match(/^status {7}processed/m)).toBeNull()
})

test('eventflow dlq show --json', async () => {
  const out = await printed('dlq', 'show', HOSTILE, '--json')
  expect(out).not.toMatch(OBEYED)
  expect(JSON.parse(out)).toMatchObject({ partitionkey: HOSTILE, data: { text: HOSTILE } })
})

test('eventflow tail', async () => {
  const child = start(['tail'])
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (more) => {
    out += more
  })
  await until('it is shown', async () => out.endsWith('\n'))
  child.kill('SIGINT')
  await once(child, 'close')
  expect(out).toContain('\\u001b[2J')
  expect(out).not.toMatch(OBEYED)
  expect(out.match(/\n/g)).toHaveLength(1)
})

const hostile = fc.string({
  unit: fc.oneof(fc.constantFrom('\x1b', '\x9b', '\x7f', '\u202e', '\u2029', '\r', '\n', '\t'), fc.string()),
})

test('tables and the log of up keep their lines', () => {
  const plain = painter(false)
  fc.assert(
    fc.property(hostile, hostile, (one, other) => {
      const lines = table(['a', 'b'], [[one, other]]).split('\n')
      expect(lines).toHaveLength(2)
      let out = lines.join('\n')
      const entry = { level: one, time: '2001-01-01T12:01:07.000Z', msg: one, [other]: one, err: { message: other } }
      out += readable(JSON.stringify(entry), plain) + readable(one, plain) + said('error', new Date(), other, plain)
      const output = createOutput((text) => {
        out += text
      }, false)
      output.voice('up').say(one)
      output.voice('worker').pass(other)
      output.block(one)
      expect(out).not.toMatch(OBEYED)
    }),
  )
})
