/** The commands that use the service, against a complete pipeline: their output, effects and exit codes. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { promisify } from 'node:util'
import { performReset, registerGroups } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { insertRows, makeStateful, microsAt, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Command, CommanderError } from 'commander'
import { UnreachableError } from '../addresses.js'
import { UsageError } from '../arguments.js'
import { completion } from '../completion.js'
import type { Surroundings } from './asking.js'
import { serviceCommands } from './commands.js'

const MAIN = join(import.meta.dirname, '../main.js')

/** While this is true, weak events fail. */
let broken = true
const definition = defineEvent({
  type: 'step.done',
  schema: Type.Object({
    step: Type.String(),
    weak: Type.Optional(Type.Boolean()),
    flaky: Type.Optional(Type.Boolean()),
  }),
  key: ({ step }) => step,
  validate: ({ data }) => (data.weak && broken ? [{ pointer: '/weak', message: 'does not hold' }] : []),
  retry: { attempts: 2, baseDelayMs: 100 },
  handle: async ({ data, id }) => {
    if (!data.flaky) return
    const { rows } = await pipeline.db.query('SELECT attempts FROM retries WHERE event_id = $1', [id])
    if (rows.length === 0) throw new Error('not yet')
  },
})

let dir: string
let pipeline: TestPipeline

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'eventflow-commands-'))
  pipeline = await startPipeline([definition])
  await pipeline.startWorker()
})

afterAll(async () => {
  await pipeline.stop()
  await rm(dir, { recursive: true, force: true })
})

type Given = Partial<Surroundings> & { input?: string | Buffer }

/** Runs a command in this process, like main.ts. */
async function eventflow(args: readonly string[], { input = '', ...given }: Given = {}) {
  let [stdout, stderr, code] = ['', '', 0]
  const program = new Command('eventflow').exitOverride().configureOutput({
    writeOut: (text) => (stdout += text),
    writeErr: (text) => (stderr += text),
  })
  serviceCommands(program, {
    apiKey: undefined,
    name: 'ann',
    findUrl: async () => pipeline.url,
    stdin: Readable.from([Buffer.from(input)]) as NodeJS.ReadStream,
    stderr: new PassThrough(),
    print: (text) => (stdout += `${text}\n`),
    note: (text) => (stderr += `${text}\n`),
    confirm: undefined,
    stop: () => new AbortController().signal,
    end: (value) => {
      code = value
    },
    ...given,
  })
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError || error instanceof UsageError) code = 64
    else code = error instanceof UnreachableError ? 2 : 1
    stderr += (error as Error).message
  }
  return { stdout, stderr, code }
}

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('send', () => {
  test('sends one event and waits until it is settled', async () => {
    const one = ['send', '--type', 'step.done', '--id', 'one', '--data', '{"step":"a"}']
    expect(await eventflow(one)).toEqual({ code: 0, stderr: '', stdout: expect.stringMatching(/^accepted \S{36}\n$/) })
    expect(await eventflow([...one, '--wait'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^processed /) })
    expect(
      await eventflow(['send', '--type', 'step.done', '--data', '-', '--wait'], { input: '{"step":1}' }),
    ).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^failed \S{36}: \/step must be string\n$/),
    })
    const other = await eventflow([...one.slice(0, -1), '{"step":"b"}'])
    expect(other).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^rejected: 409 /) })
  })

  test('sends a file, reports duplicates when it is sent again, and reports what is wrong with an event', async () => {
    const file = join(dir, 'events.json')
    await writeFile(file, '[{"type":"step.done","data":{"step":"a"}},{"type":"step.done","data":{"step":"b"}}]')
    expect((await eventflow(['send', file])).stdout).toBe('2 accepted, 0 duplicate, 0 rejected\n')
    expect((await eventflow(['send', file])).stdout).toBe('0 accepted, 2 duplicate, 0 rejected\n')

    const input = '{"type":"step.done","data":{"step":"c"}}\n{"type":"step.done","partitionkey":7,"data":{}}\n'
    const some = await eventflow(['send'], { input })
    expect(some).toMatchObject({ code: 1, stdout: '1 accepted, 0 duplicate, 1 rejected\n' })
    expect(some.stderr).toMatch(/^line 2 of stdin \(\S{36}\) is rejected: 400 .*partitionkey/)
    const cut = await eventflow(['send', '--json'], { input: '{"type":"step.done","data":{"step":"d"}}\n{"type' })
    expect(cut).toMatchObject({ code: 1, stderr: expect.stringContaining('1 rejected') })
    expect(lines(cut.stdout)).toEqual(
      expect.arrayContaining([
        { row: 1, id: expect.any(String), status: 'accepted' },
        { row: 2, status: 'rejected', error: expect.stringMatching(/^line 2 of stdin is not JSON/) },
      ]),
    )
  })

  test('data arrives unchanged, and a wrong row does not affect the others', async () => {
    const file = join(dir, 'exact.ndjson')
    const row = (more: string) => `{"type":"step.done","data":{"step":"exact"${more}}}\n`
    const cloudEvent =
      '{"specversion":"1.0","id":"1","source":"/shop","type":"step.done","tier":"gold","data":{"step":"exact"}}\n'
    const wrong = [
      row(',"n":1e400'),
      row(',"n":9007199254740993'),
      row(',"step":"twice"'),
      row(',"__proto__":1'),
      '{"type\n',
    ]
    const bytes = Buffer.from('{"type":"step.done","data":{"step":"\xfc"}}\n', 'latin1')
    await writeFile(
      file,
      Buffer.concat([Buffer.from(`\ufeff${row('')}${wrong.join('')}`), bytes, Buffer.from(row('') + cloudEvent)]),
    )
    const sent = await eventflow(['send', file])
    expect(sent).toMatchObject({ code: 1, stdout: '3 accepted, 0 duplicate, 6 rejected\n' })
    for (const [line, what] of Object.entries({
      2: '1e400|precision',
      3: 'precision',
      4: 'more than once',
      5: '__proto__',
      6: 'is not JSON',
      7: 'is not UTF-8',
    })) {
      expect(sent.stderr).toMatch(new RegExp(`^line ${line} of .*(${what})`, 'm'))
    }
    expect(await eventflow(['send', '--type', 'step.done', '--data', '{"step":"exact","n":1e400}'])).toMatchObject({
      code: 1,
    })
    expect(await eventflow(['send', '--type', 'step.done', '--data', '-'], { input: bytes })).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('not UTF-8'),
    })
    const { rows } = await pipeline.db.query(
      `SELECT extensions->>'tier' AS tier FROM raw_events WHERE external_id = '1'`,
    )
    expect(rows).toEqual([{ tier: 'gold' }])
  })

  test('says what it needs', async () => {
    const terminal = Object.assign(Readable.from([]), { isTTY: true }) as unknown as NodeJS.ReadStream
    expect(await eventflow(['send'], { stdin: terminal })).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('--type'),
    })
    expect(await eventflow(['send', '--type', 'x', '--data', '[]'])).toMatchObject({ code: 64 })
    expect(await eventflow(['send', '--wait'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('single event'),
    })
  })
})

describe('events', () => {
  test('are traced: causes, every attempt and every wait', async () => {
    const sent = [
      { id: 'order', data: { step: 'order' } },
      { id: 'mail', causationid: 'pay', data: { step: 'mail', weak: true } },
      { id: 'pay', causationid: 'order', data: { step: 'pay', flaky: true } },
    ]
    await pipeline.send(sent.map((event) => ({ type: 'step.done', correlationid: 'trip', ...event })))
    await pipeline.drained()

    const { stdout, code } = await eventflow(['events', 'trace', 'trip'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^correlation id trip: 2 processed, 1 failed, within /)
    expect(stdout).toMatch(/^1 {2}step\.done .* order +processed$/m)
    expect(stdout).toMatch(/^2 {2}└─ step\.done .* pay +processed$/m)
    expect(stdout).toMatch(/^3 {5}└─ step\.done .* mail +failed: .*does not hold$/m)
    expect(stdout).toMatch(/^\S+Z {2}2 {2}step\.done +\d+ ms {2}attempt 1 failed: handle: Error: not yet$/m)
    expect(stdout).toMatch(/^\S+Z {2}2 {2}step\.done +\d.* {2}processed: by worker-1$/m)

    const traced = JSON.parse((await eventflow(['events', 'trace', 'trip', '--json'])).stdout)
    expect(traced.events).toHaveLength(3)
    const times = traced.steps.map(({ at }: { at: string }) => at)
    expect(times).toEqual([...times].sort())
    expect(await eventflow(['events', 'trace', 'nothing'])).toMatchObject({ code: 1, stdout: '' })
  })

  test('a trace with exactly the limit of events does not say that there are more', async () => {
    const full = await eventflow(['events', 'trace', 'trip', '--limit', '3', '--json'])
    expect(full).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(full.stdout).events).toHaveLength(3)
    const cut = await eventflow(['events', 'trace', 'trip', '--limit', '2', '--json'])
    expect(cut).toMatchObject({ stderr: 'There are more than 2 events; only the newest are shown.\n' })
    expect(JSON.parse(cut.stdout).events).toHaveLength(2)
  })

  test('are found by attributes and status', async () => {
    const failed = await eventflow(['events', 'list', '--status', 'failed', '--key', 'mail', '--since', '1h', '--json'])
    expect(lines(failed.stdout)).toMatchObject([{ external_id: 'mail', status: 'failed' }])
    const two = await eventflow(['events', 'list', '--limit', '2'])
    expect(two.stdout.trim().split('\n')).toHaveLength(3)
    expect(two.stderr).toContain('--limit 20')
    expect(await eventflow(['events', 'list', '--type', 'unknown'])).toMatchObject({ code: 1, stdout: '' })
    expect(await eventflow(['events', 'list', '--since', 'yesterday'])).toMatchObject({ code: 64 })

    const pay = (await eventflow(['events', 'get', 'pay'])).stdout
    expect(pay).toMatch(/^caused by {4}order$/m)
    expect(pay).toMatch(/attempt 1 failed: handle: Error: not yet\n[\s\S]*processed: by worker-1/)
    expect(JSON.parse((await eventflow(['events', 'get', 'pay', '--json'])).stdout)).toMatchObject({ attempts: 2 })
    expect(await eventflow(['events', 'get', 'nothing'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nothing'),
    })
  })
})

describe('dlq', () => {
  const WEAK = ['--filter', 'type=step.done', 'error-class=RuleError']

  test('lists, groups and shows dead letters', async () => {
    const groups = lines((await eventflow(['dlq', 'ls', '--group', '--json'])).stdout)
    const kind = groups.find(({ error_class }) => error_class !== 'SchemaError')
    expect(kind).toMatchObject({ type: 'step.done', count: 1 })
    WEAK[2] = `error-class=${kind.error_class}`
    expect((await eventflow(['dlq', 'ls', ...WEAK])).stdout).toMatch(/open {4}step\.done {2}mail .*does not hold$/m)
    expect((await eventflow(['dlq', 'show', 'mail'])).stdout).toMatch(
      /^ +\/weak does not hold\n\n +\S+Z {2}attempt 1: /m,
    )
    expect(await eventflow(['dlq', 'show', 'order'])).toMatchObject({ code: 1, stdout: '' })
    expect(await eventflow(['dlq', 'ls', '--filter', 'since=1s', 'until=1h'])).toMatchObject({ code: 0, stdout: '' })
  })

  test('counts first, and replays only after confirmation', async () => {
    const dry = await eventflow(['dlq', 'replay', ...WEAK, '--dry-run'])
    expect(dry).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 dead letter would be replayed:\n.*mail/) })
    expect(await eventflow(['dlq', 'replay', ...WEAK])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('--yes'),
    })
    const asked: string[] = []
    const confirm = async (question: string) => asked.push(question) > 1
    expect(await eventflow(['dlq', 'replay', ...WEAK], { confirm })).toMatchObject({ code: 1, stdout: '' })
    expect((await eventflow(['events', 'get', 'mail'])).stdout).toMatch(/^status +failed/m)

    broken = false
    const done = await eventflow(['dlq', 'replay', ...WEAK, '--rate', '10', '--reason', 'mended'], { confirm })
    expect(done).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^replay-dead-letters \S+ is finished: 1 of 1 done/),
    })
    expect(asked[0]).toMatch(/1 dead letter would be replayed[\s\S]*\? \[y\/N\] $/)
    await pipeline.drained()
    expect((await eventflow(['events', 'get', 'mail'])).stdout).toMatch(/^status +processed/m)
    const { rows } = await pipeline.db.query('SELECT actor, reason FROM audit_log WHERE operation_id IS NOT NULL')
    expect(rows).toEqual([{ actor: 'ann', reason: 'mended' }])
    expect(await eventflow(['dlq', 'replay', ...WEAK, '--yes'])).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('nothing to do'),
    })
  })

  test('an operation continues without the command that started it, and can be watched and cancelled', async () => {
    const wrong = Array.from({ length: 30 }, () => ({ type: 'step.done', data: {} }))
    await pipeline.send(wrong)
    await pipeline.drained()
    expect(await eventflow(['dlq', 'discard', '--all', '--yes'])).toMatchObject({ code: 64 })
    expect(await eventflow(['dlq', 'discard', '--yes', '--reason', 'x'])).toMatchObject({ code: 64 })

    const slowly = [
      'dlq',
      'discard',
      '--filter',
      'error-class=SchemaError',
      '--reason',
      'a test',
      '--yes',
      '--rate',
      '1',
    ]
    const leaving = new AbortController()
    const stderr = Object.assign(new PassThrough(), { isTTY: true })
    stderr.once('data', () => leaving.abort()) // it shows how far the operation is
    const left = await eventflow([...slowly, '--json'], { stderr, stop: () => leaving.signal })
    expect(left).toMatchObject({ code: 130, stderr: expect.stringContaining('--cancel') })
    const { id } = JSON.parse(left.stdout)
    const cancelled = await eventflow(['dlq', 'operation', id, '--cancel'])
    expect(cancelled).toMatchObject({ code: 1, stdout: expect.stringMatching(/is cancelled: \d of 3\d done/) })
    expect(await eventflow(['dlq', 'operation', 'none'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no operation'),
    })
    const rest = await eventflow([...slowly.slice(0, -1), '10000'])
    expect(rest).toMatchObject({ code: 0, stdout: expect.stringMatching(/is finished/) })
    expect((await eventflow(['dlq', 'ls', '--status', 'open'])).stdout).toBe('')
  })
})

describe('groups', () => {
  let groupId: number

  beforeAll(async () => {
    const groups = [
      { name: 'invoicing', version: 1, types: ['step.done'], from: 'earliest' as const },
      { name: 'auditing', version: 1, types: ['step.done'], from: 'latest' as const },
    ]
    groupId = (await registerGroups(pipeline.db, groups)).get('invoicing')!
    await pipeline.db.query(
      `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
         failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at)
       SELECT $1, seq, partition, position, tenant_id, event_id, type, key, payload, 'transient', 'TransientError',
              'is away', '[]', 'handle', 4, '[{"attempt": 4, "at": "2026-01-01T00:00:00Z", "message": "is away"}]', 'w',
              correlation_id, accepted_at
       FROM processed_events ORDER BY seq LIMIT 2`,
      [groupId],
    )
  })

  const perform = (undo: () => Promise<void>) =>
    until('the reset is performed', async () => (await performReset(pipeline.db, groupId, undo)) !== 'none', 60_000)

  test('are listed and shown with their lag', async () => {
    const { stdout } = await eventflow(['groups', 'ls'])
    expect(stdout).toMatch(/^group +kind +state +lag +waiting +parked +dead +workers\nauditing +consumer +running +0 /)
    expect(stdout).toMatch(/^invoicing +consumer +running +[1-9]\d* .* 2 +0$/m)
    const [first] = lines((await eventflow(['groups', 'ls', '--json'])).stdout)
    expect(first).toMatchObject({ name: 'auditing', lag: { events: 0 } })
    const shown = (await eventflow(['groups', 'show', 'invoicing'])).stdout
    expect(shown).toMatch(/^kind +consumer, version 1, generation 1\nreads +step\.done\nlag +\d/m)
    expect(shown).toMatch(/^partition +owner +position +last +lag +waiting +parked +dead\n +0 +- +0 +\d+ /m)
    expect(await eventflow(['groups', 'show', 'none'])).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('eventflow groups ls') },
    })
  })

  test('dead letters of a group that does not exist are not there', async () => {
    expect(await eventflow(['groups', 'dlq', 'none'])).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('There is no consumer group none') },
    })
  })

  test('are paused and resumed', async () => {
    const pause = ['groups', 'pause', 'invoicing', '--reason', 'moving house']
    expect(await eventflow(pause)).toMatchObject({ code: 0, stdout: 'invoicing is paused\n' })
    expect(await eventflow(pause)).toMatchObject({ code: 1, stderr: expect.stringContaining('moving house') })
    expect((await eventflow(['groups', 'show', 'invoicing'])).stdout).toMatch(/^paused +moving house \(by ann, /m)
    expect((await eventflow(['groups', 'resume', 'invoicing', '--json'])).stdout).toBe(
      '{"name":"invoicing","status":"running"}\n',
    )
    expect(await eventflow(['groups', 'pause', 'invoicing'])).toMatchObject({ code: 64 })
    expect(await eventflow(['groups', 'resume', 'none'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('There is no consumer group none') },
    })
  })

  test('have dead letters, which are listed, shown, replayed and discarded', async () => {
    const dlq = ['groups', 'dlq', 'invoicing']
    const [first, second] = lines((await eventflow([...dlq, '--json'])).stdout)
    expect((await eventflow(dlq)).stdout).toMatch(/^\S+Z +open +step\.done +\S+ +\S{36} +TransientError: is away$/m)
    expect((await eventflow([...dlq, 'show', first.id])).stdout).toMatch(
      /^error +TransientError: is away\n\n +\S+Z {2}attempt 4: is away$/m,
    )
    expect(await eventflow([...dlq, 'show', 'none'])).toMatchObject({ code: 1, stdout: '' })

    const replay = [...dlq, 'replay', '--filter', `id=${first.id}`]
    expect((await eventflow([...replay, '--dry-run'])).stdout).toMatch(
      /^1 dead letter would be replayed:\n {2}step\.done /,
    )
    expect(await eventflow(replay)).toMatchObject({ code: 64, stderr: expect.stringContaining('--yes') })
    expect(await eventflow([...replay, '--yes'])).toMatchObject({
      ...{ code: 0, stdout: '1 dead letter of invoicing is being handled again\n' },
    })
    expect(lines((await eventflow([...dlq, '--status', 'replaying', '--json'])).stdout)).toMatchObject([
      { id: first.id },
    ])
    expect(await eventflow([...replay, '--yes'])).toMatchObject({
      ...{ code: 0, stdout: '', stderr: expect.stringContaining('nothing to do') },
    })
    const discard = [...dlq, 'discard', '--all', '--yes']
    expect(await eventflow(discard)).toMatchObject({ code: 64, stderr: expect.stringContaining('--reason') })
    expect((await eventflow([...discard, '--reason', 'a test', '--json'])).stdout).toBe(
      '{"name":"invoicing","action":"discard","changed":1}\n',
    )
    expect(lines((await eventflow([...dlq, '--status', 'discarded', '--json'])).stdout)).toMatchObject([
      { id: second.id, reason: 'a test' },
    ])
    for (const wrong of [['replay'], ['show'], ['replay', first.id], ['--filter', `id=${first.id}`], ['drop']]) {
      expect(await eventflow([...dlq, ...wrong])).toMatchObject({ code: 64, stdout: '' })
    }
  })

  test('are reset after a look at what it would do', async () => {
    const reset = ['groups', 'reset', 'invoicing', '--to']
    const dry = await eventflow([...reset, 'latest', '--dry-run'])
    expect(dry.stdout).toMatch(
      /^0 events would be handled again, and \d+ skipped\n\npartition +from +to +again +skipped\n/,
    )
    expect(JSON.parse((await eventflow([...reset, '1', '--dry-run', '--json'])).stdout)).toMatchObject({ again: 0 })
    expect(await eventflow([...reset, 'latest'])).toMatchObject({
      ...{ code: 64, stderr: expect.stringContaining('Confirm with --yes') },
    })
    expect(await eventflow([...reset, 'latest'], { confirm: async () => false })).toMatchObject({ code: 1, stdout: '' })
    expect(await eventflow([...reset, 'yesterday', '--yes'])).toMatchObject({
      ...{ code: 64, stderr: expect.stringContaining('"yesterday" is neither') },
    })
    expect(await eventflow([...reset, '999999999', '--yes'])).toMatchObject({ code: 1 })

    const [done] = await Promise.all([eventflow([...reset, 'latest', '--yes']), perform(async () => {})])
    expect(done).toEqual({ code: 0, stderr: '', stdout: 'invoicing is reset\n' })
    const fails = () => Promise.reject(new Error('no such table'))
    const [failed] = await Promise.all([eventflow([...reset, '2h', '--yes']), perform(fails)])
    expect(failed).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('no such table') })
  })

  test('a reset waits for a worker, also if the command is stopped', async () => {
    const leaving = new AbortController()
    const stderr = Object.assign(new PassThrough(), { isTTY: true })
    stderr.once('data', () => leaving.abort()) // it shows how long it has waited
    const reset = ['groups', 'reset', 'invoicing', '--to', 'earliest', '--yes']
    const left = await eventflow(reset, { stderr, stop: () => leaving.signal })
    expect(left).toMatchObject({
      code: 130,
      stdout: '',
      stderr: expect.stringContaining('No worker has reset invoicing'),
    })
    expect((await eventflow(['groups', 'show', 'invoicing'])).stdout).toMatch(
      /^reset +pending to earliest, .* by ann, /m,
    )
    const later = Object.assign(new PassThrough(), { isTTY: true })
    const performed = once(later, 'data').then(() => perform(async () => {}))
    const [done] = await Promise.all([eventflow(reset, { stderr: later }), performed])
    expect(done).toMatchObject({ code: 0, stdout: 'invoicing is reset\n' })
  })

  test('are deleted after confirmation', async () => {
    expect(await eventflow(['groups', 'delete', 'invoicing'])).toMatchObject({ code: 64 })
    const asked: string[] = []
    const confirm = async (question: string) => asked.push(question) > 0
    expect(await eventflow(['groups', 'delete', 'invoicing'], { confirm })).toMatchObject({
      ...{ code: 0, stdout: 'invoicing is deleted\n' },
    })
    expect(asked).toEqual([
      expect.stringMatching(/^delete the group invoicing, with 0 parked events and 0 dead letters\? /),
    ])
    expect(await eventflow(['groups', 'delete', 'invoicing', '--yes'])).toMatchObject({ code: 1, stdout: '' })
  })
})

test('events and dead letters are found by the id and the source they were sent with', async () => {
  const sent = ['--id', 'one id', '--source', '/shop', '--data', '{"step":7}', '--wait']
  expect(await eventflow(['send', '--type', 'step.done', ...sent])).toMatchObject({ code: 1 })
  for (const lookUp of [
    ['events', 'get'],
    ['dlq', 'show'],
  ]) {
    const found = await eventflow([...lookUp, 'one id', '--source', '/shop', '--json'])
    expect(JSON.parse(found.stdout)).toMatchObject({ data: { step: 7 } })
    const elsewhere = await eventflow([...lookUp, 'one id'])
    expect(elsewhere).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('from the source / (set another with --source)'),
    })
  }
})

test('schemas are registered, listed, checked and refused', async () => {
  const file = join(dir, 'schema.json')
  const schema = (type: string) => JSON.stringify({ type: 'object', properties: { sku: { type } }, required: ['sku'] })
  await writeFile(file, schema('string'))
  expect(await eventflow(['schemas', 'register', 'stock.moved', file])).toMatchObject({
    code: 0,
    stdout: 'stock.moved has version 1\n',
  })
  expect((await eventflow(['schemas', 'ls'])).stdout).toMatch(/^stock\.moved +1 {2}BACKWARD /m)
  expect(JSON.parse((await eventflow(['schemas', 'get', 'stock.moved'])).stdout)).toEqual(JSON.parse(schema('string')))
  expect(await eventflow(['schemas', 'get', 'stock.moved', '--version', '2'])).toMatchObject({ code: 1, stdout: '' })
  await writeFile(file, schema('integer'))
  const check = await eventflow(['schemas', 'check', 'stock.moved', file])
  expect(check).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^not compatible \(BACKWARD\)\nbackward with version 1: \/\S*sku/),
  })
  expect(await eventflow(['schemas', 'register', 'stock.moved', file])).toMatchObject({ code: 1, stdout: '' })
  expect(await eventflow(['schemas', 'check', 'stock.moved', join(dir, 'none')])).toMatchObject({ code: 1 })

  expect((await eventflow(['schemas', 'compatibility', 'stock.moved'])).stdout).toBe('BACKWARD\n')
  expect((await eventflow(['schemas', 'compatibility', 'stock.moved', 'NONE'])).stdout).toBe('NONE\n')
  expect(await eventflow(['schemas', 'compatibility', 'stock.moved', 'SOME'])).toMatchObject({ code: 64 })
  await eventflow(['schemas', 'register', 'stock.moved', file])
  expect((await eventflow(['schemas', 'versions', 'stock.moved'])).stdout).toMatch(
    /^version +origin +registered by +registered\n +1 {2}api .*\n +2 {2}api +\S+ +\S+Z\n$/,
  )
  expect(await eventflow(['schemas', 'versions', 'stock.lost'])).toMatchObject({ code: 1, stdout: '' })
})

test('tail shows existing events, new ones and changes; Ctrl-C ends it in order', async () => {
  const child = spawn(process.execPath, [MAIN, 'tail', '-n', '1', '--key', 'tailed', '--json', '--url', pipeline.url])
  let text = ''
  child.stderr.pipe(process.stderr)
  child.stdout.on('data', (more) => {
    text += more
  })
  const send = (id: string) =>
    pipeline.send([
      { type: 'step.done', id, data: { step: 'tailed' } },
      { type: 'step.done', data: { step: 'x' } },
    ])
  await send('first')
  await until('the first is shown', async () => text.includes('"first"'))
  await send('second')
  await until('the second is shown', async () => /"processed".*"second"/.test(text))
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([0, null]) // and all that it wrote is here
  expect(text).not.toContain('"partitionkey":"x"')
})

test('a service that does not answer is named, with the way to choose another one', async () => {
  const unreachable = { findUrl: async () => 'http://127.0.0.1:1' }
  for (const args of [['send', '--type', 'x'], ['tail'], ['events', 'list'], ['dlq', 'ls']]) {
    expect(await eventflow(args, unreachable)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('EVENTFLOW_URL'),
    })
  }
  expect(await eventflow(['events', 'list', '--url', 'localhost'])).toMatchObject({ code: 64 })
  expect((await eventflow(['events', 'list', '--url', `${pipeline.url}/wrong`])).stderr).toContain('no such route')
})

test('bash completes commands, options and their values', async () => {
  const program = new Command('eventflow')
  serviceCommands(program, {} as Surroundings)
  const offered = async (...words: string[]) => {
    const [word, before] = [words.at(-1), words.at(-2)].map((text) => `'${text}'`)
    const script = `${completion(program, 'bash')}
COMP_WORDS=(${words.map((text) => `'${text}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_eventflow eventflow ${word} ${before}; echo "\${COMPREPLY[*]}"`
    return (await promisify(execFile)('bash', ['-c', script])).stdout.trim()
  }
  expect(await offered('eventflow', 'd')).toBe('dlq')
  expect(await offered('eventflow', 'dlq', 're')).toBe('replay')
  expect(await offered('eventflow', 'dlq', 'replay', '--dr')).toBe('--dry-run')
  expect(await offered('eventflow', 'tail', '--key', 'x', '--status', 'fa')).toBe('failed')
})

describe('windows and joins', () => {
  const [from, to] = ['2026-01-31T10:00:00Z', '2026-01-31T11:00:00Z']
  const [at, end] = [microsAt('11:00:00'), microsAt('12:00:00')]
  const event = { event_id: '0190b2c4-0000-7000-8000-000000000000', type: 'step.done', position: 0 }

  beforeAll(async () => {
    const { db } = pipeline
    const building = 2
    const windowId = await makeStateful(db, { name: 'revenue', kind: 'window', types: ['step.done'], building })
    const joinId = await makeStateful(db, { name: 'enriched', kind: 'join', types: ['step.done'], idle: null })
    await db.query(
      `INSERT INTO group_cursors (group_id, generation, partition, position) SELECT $1, 2, id, 0 FROM partitions`,
      [windowId],
    )
    const row = { group_id: windowId, generation: 1, partition: 0, tenant_id: 'default', key: 'a' }
    await insertRows(db, 'window_results', [
      { ...row, start_at: from, end_at: to, result: { count: 2 } },
      { ...row, start_at: to, end_at: '2026-01-31T12:00:00Z', result: { count: 3 } },
    ])
    await insertRows(db, 'window_state', [
      { ...row, start_at: at, first_open: at, end_at: end, close_at: end, state: { count: 1 } },
    ])
    await insertRows(db, 'group_watermarks', [
      { group_id: windowId, generation: 1, partition: 0, tenant_id: 'default', watermark: microsAt('11:30:00') },
    ])
    for (const group_id of [windowId, joinId]) {
      await insertRows(db, 'late_events', [
        { ...row, group_id, ...event, seq: 1, occurred_at: from, watermark: '2026-01-31T11:30:00Z' },
      ])
    }
    await insertRows(db, 'join_rows', [
      { ...row, group_id: joinId, side: 'left', at, seq: 0, expires_at: end, event: {} },
    ])
  })

  test('are listed', async () => {
    expect((await eventflow(['windows', 'ls'])).stdout).toMatch(
      /^window +version +state +open +results +late +watermark +reads\nrevenue +1 +rebuilding +1 +2 +1 +2026-01-31T11:30:00\.000Z +step\.done\n$/,
    )
    expect((await eventflow(['joins', 'ls'])).stdout).toMatch(
      /^join +version +state +waiting +late +watermark +reads\nenriched +1 +running +1 +1 +- +step\.done\n$/,
    )
    expect(lines((await eventflow(['windows', 'ls', '--json'])).stdout)).toMatchObject([
      { name: 'revenue', results: 2 },
    ])
  })

  test('show results, open windows, late and waiting events', async () => {
    const results = ['windows', 'results', 'revenue']
    expect((await eventflow([...results, '--key', 'a', '--to', to])).stdout).toMatch(
      /^start +end +key +result\n2026-01-31T10:00:00\.000Z +2026-01-31T11:00:00\.000Z +a +\{"count":2\}\n$/,
    )
    const first = await eventflow([...results, '--limit', '1', '--json'])
    expect(lines(first.stdout)).toMatchObject([{ result: { count: 3 } }])
    expect(first.stderr).toMatch(/show more with --limit 10\n$/)
    expect(await eventflow([...results, '--key', 'none'])).toMatchObject({ code: 0, stderr: 'No result matches.\n' })
    expect((await eventflow(['windows', 'open', 'revenue'])).stdout).toMatch(/ a +\{"count":1\}\n$/)
    for (const late of [
      ['windows', 'late', 'revenue'],
      ['joins', 'late', 'enriched'],
    ]) {
      expect((await eventflow(late)).stdout).toMatch(/T11:30:00\.000Z +step\.done +a +0190b2c4-\S+\n$/)
      expect((await eventflow([...late, '--type', 'x'])).stderr).toBe('No event was late.\n')
    }
    expect((await eventflow(['joins', 'waiting', 'enriched'])).stdout).toMatch(/ left +no +- +a +-\n$/)
    expect((await eventflow(['joins', 'waiting', 'enriched', '--side', 'both'])).code).toBe(64)
    expect(await eventflow(['windows', 'open', 'enriched'])).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('There is no window enriched') },
    })
  })

  test('are groups, which show what they hold', async () => {
    expect((await eventflow(['groups', 'ls'])).stdout).toMatch(/^revenue +window +running /m)
    const { stdout } = await eventflow(['groups', 'show', 'revenue'])
    expect(stdout).toMatch(
      /^open +1\nresults +2\nlate +1\nwatermark 2026-01-31T11:30:00.000Z to 2026\S+, \d.* behind in/m,
    )
    expect(stdout).toMatch(/^building +generation 2, \d+ % of the log$/m)
    expect((await eventflow(['groups', 'show', 'enriched'])).stdout).toMatch(/^waiting +1\nlate +1\n/m)
  })
})
