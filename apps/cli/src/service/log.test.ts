/** `eventflow log read` against a complete pipeline. */
import { PassThrough, Readable } from 'node:stream'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Command, CommanderError } from 'commander'
import { UnreachableError } from '../addresses.js'
import { serviceCommands } from './commands.js'

const define = (type: string) => defineEvent({ type, schema: Type.Object({ n: Type.Integer() }), key: () => 'one key' })

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([define('step.done'), define('step.undone')])
  await pipeline.startWorker()
  await send('step.done', 1, 5)
  await send('step.undone', 6, 7)
})

afterAll(() => pipeline.stop())

async function send(type: string, first: number, last: number) {
  const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
  await pipeline.send(numbers.map((n) => ({ type, data: { n } })))
  await pipeline.drained()
}

/** Runs `eventflow log read`; `shown` is called with each line. */
async function read(args: readonly string[], stop = new AbortController(), shown = (_: string) => {}) {
  let [stdout, stderr, code] = ['', '', 0]
  const program = new Command('eventflow').exitOverride().configureOutput({ writeErr: (text) => (stderr += text) })
  serviceCommands(program, {
    ...{ apiKey: undefined, name: 'ann', findUrl: async () => pipeline.url, confirm: undefined },
    ...{ stdin: Readable.from([]) as never, stderr: new PassThrough(), stop: () => stop.signal },
    print: (text) => {
      stdout += `${text}\n`
      shown(text)
    },
    note: (text) => (stderr += `${text}\n`),
    end: (value) => {
      code = value
    },
  })
  try {
    await program.parseAsync(['log', 'read', ...args], { from: 'user' })
  } catch (error) {
    code = error instanceof CommanderError ? 64 : error instanceof UnreachableError ? 2 : 1
    stderr += (error as Error).message
  }
  return { stdout, stderr, code }
}

const numbersIn = ({ stdout }: { stdout: string }) => [...stdout.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n))

test('shows events in their order, as lines or as JSON, and where to go on', async () => {
  const all = await read([])
  expect(all).toMatchObject({ code: 0 })
  expect(all.stdout).toMatch(/^\S+Z +\d+ {2}step\.done {2}one key {2}\S{36} {2}\{"n":1\}$/m)
  expect(numbersIn(all)).toEqual([1, 2, 3, 4, 5, 6, 7])
  const two = await read(['--type', 'step.done', '--limit', '2', '--json'])
  expect(JSON.parse(two.stdout.split('\n')[0]!)).toMatchObject({ type: 'step.done', data: { n: 1 } })
  const [, cursor] = /^Go on with --from (\S+)\n$/.exec(two.stderr)!
  expect(numbersIn(await read(['--from', cursor!]))).toEqual([3, 4, 5, 6, 7])
  expect(numbersIn(await read(['--type', 'step.done', '--type', 'step.undone', '--from', '1h']))).toHaveLength(7)
  const none = await read(['--from', 'latest'])
  expect(none).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('No event matches.') })
})

test('goes on where the group was, and commits what it has shown', async () => {
  expect(await read(['--group', 'mine'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('There is no group mine'),
  })
  expect(numbersIn(await read(['--group', 'mine', '--from', 'earliest', '--limit', '3']))).toEqual([1, 2, 3])
  expect(numbersIn(await read(['--group', 'mine', '--from', 'earliest']))).toEqual([4, 5, 6, 7])
  expect(await read(['--group', 'mine'])).toMatchObject({ code: 1, stdout: '' })
})

test('follows the log until it is stopped', async () => {
  const stop = new AbortController()
  const seen: string[] = []
  const following = read(['--from', 'latest', '--follow'], stop, (line) => {
    seen.push(line)
    if (seen.length === 2) stop.abort()
  })
  await until('it waits', async () => {
    const { rowCount } = await pipeline.db.query(
      `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sequence_last_value(''log_position'')%' AND query NOT LIKE '%pg_stat_activity%'`,
    )
    return rowCount! > 0
  })
  await send('step.done', 8, 9)
  expect(numbersIn(await following)).toEqual([8, 9])
  expect((await following).code).toBe(0)
})

test.each([
  [['--from', 'yesterday'], 1, '/from is not a `next` of the log'],
  [['--limit', '0'], 64, 'whole number'],
  [['--url', 'http://127.0.0.1:1'], 2, 'No answer from http://127.0.0.1:1'],
])('says what is wrong with %j', async (args, code, message) => {
  expect(await read(args)).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) })
})
