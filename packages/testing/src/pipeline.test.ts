/** Pipelines for tests, as a user's test uses them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EventRejected } from '@eventflow/client'
import { defineEvent, derive, Type } from '@eventflow/sdk'
import { redisCacheDir, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Pipeline, type Servers, startPipeline, startServers } from './index.js'

const counted = defineEvent({
  type: 'things.counted',
  schema: Type.Object({ count: Type.Integer() }),
  validateAt: 'ingest',
  enrich: [derive('double', ({ data }) => ({ double: Number(data.count) * 2 }))],
  validate: ({ data }) => (data.count > 0 ? [] : [{ pointer: '/count', message: 'must be positive' }]),
  prepare: async (tx) => {
    await tx.query('CREATE TABLE IF NOT EXISTS counts (count bigint)')
  },
  handle: async ({ data }, tx) => {
    if (data.count === 13) throw new Error('not today')
    await tx.query('INSERT INTO counts VALUES ($1)', [data.count])
  },
})

const event = (count: number) => ({ type: 'things.counted', data: { count } })

let servers: Servers
let pipeline: Pipeline

beforeAll(async () => {
  servers = await startServers({ cacheDir: redisCacheDir() })
  // As another process has them.
  pipeline = await startPipeline({ definitions: [counted], servers: JSON.parse(JSON.stringify(servers)) })
}, 120_000)

afterAll(async () => {
  await pipeline.stop()
  await servers.stop()
})

test('an event is processed: its result has what enrichment added, and its effects are in the database', async () => {
  const { id, duplicate } = await pipeline.send(event(2))
  expect(duplicate).toBe(false)
  expect(await pipeline.processed<{ double: number }>(id)).toMatchObject({
    ...{ id, type: 'things.counted', key: id, status: 'processed', attempts: 1, history: [] },
    ...{ data: { count: 2 }, result: { count: 2, double: 4 } },
  })
  expect(await pipeline.sql('SELECT count FROM counts WHERE count = $1', [2])).toEqual([{ count: 2 }])
})

test('receipts come in the order of the events, and the same event is a duplicate', async () => {
  const receipts = await pipeline.send([event(3), event(4)])
  const ends = await Promise.all(receipts.map((receipt) => pipeline.processed(receipt)))
  expect(ends.map(({ result }) => result.double)).toEqual([6, 8])
  const sent = { ...event(5), id: 'five', source: '/shelf' }
  const { id } = await pipeline.send(sent)
  expect(await pipeline.send(sent)).toEqual({ id, duplicate: true })
})

test('an event fails: its dead letter says why, and who waits for the other end is told', async () => {
  const receipt = await pipeline.send(event(-1))
  expect((await pipeline.failed(receipt)).failure).toEqual({
    component: 'validate',
    failureType: 'permanent',
    errorClass: 'RuleViolation',
    message: '/count must be positive',
    problems: [{ pointer: '/count', message: 'must be positive' }],
  })
  expect((await pipeline.settled(receipt)).status).toBe('failed')
  await expect(pipeline.processed(receipt)).rejects.toThrow(
    `event ${receipt.id} (things.counted) failed: validate: RuleViolation: /count must be positive`,
  )
  const good = await pipeline.send(event(1))
  await expect(pipeline.failed(good)).rejects.toThrow(
    `event ${good.id} (things.counted) did not fail: it was processed`,
  )
})

test('a wait that takes too long says what state the event is in', async () => {
  const { id } = await pipeline.send(event(13))
  const asked = () => pipeline.settled(id, { timeoutMs: 0 })
  await until('it was tried', async () =>
    asked().catch((error) => error.message.includes('retrying after 1 failed attempt')),
  )
  await expect(asked()).rejects.toThrow(
    `event ${id} was not settled in 0 ms: things.counted is retrying after 1 failed attempt, the last one in handle: Error: not today`,
  )
})

test('an event that was never accepted is not waited for', async () => {
  const id = '018f0000-0000-7000-8000-000000000000'
  await expect(pipeline.settled(id)).rejects.toThrow(`no event with the id ${id} was accepted`)
})

test('an event that the service refuses is an error that says why', async () => {
  const refused = { type: 'things.counted', data: { count: 'many' } }
  await expect(pipeline.send(refused)).rejects.toThrow(EventRejected)
  await expect(pipeline.send([event(6), refused])).rejects.toThrow('/data/count must be integer')
})

test('pipelines on the same servers see nothing of each other; settings and the log are those of one', async () => {
  const lines: string[] = []
  const other = await startPipeline({
    ...{ definitions: [counted], servers, log: (line: string) => lines.push(line) },
    settings: { EVENTFLOW_LOG_LEVEL: 'info' },
  })
  const receipt = await other.send(event(7))
  await other.processed(receipt)
  await expect(pipeline.settled(receipt)).rejects.toThrow('was accepted')
  expect(await pipeline.sql('SELECT FROM counts WHERE count = 7')).toEqual([])
  await other.stop()
  expect(lines.map((line) => JSON.parse(line).msg)).toContain('partitions taken')
})

test('event types come from a folder, too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'eventflow-testing-'))
  const sdk = new URL('../../sdk/dist/index.js', import.meta.url)
  await writeFile(
    join(folder, 'greeted.mjs'),
    `import { defineEvent, Type } from '${sdk}'
    export default defineEvent({ type: 'guest.greeted', schema: Type.Object({}) })`,
  )
  const other = await startPipeline({ events: folder, servers })
  await other.processed(await other.send({ type: 'guest.greeted', data: {} }))
  await other.stop()
  await rm(folder, { recursive: true })
})

test('a start that fails leaves no database behind', async () => {
  const databases = () =>
    pipeline.sql<{ datname: string }>(`SELECT datname FROM pg_database WHERE datname LIKE 'test_%'`)
  const before = await databases()
  const broken = defineEvent({
    ...{ type: 'never.prepared', schema: Type.Object({}) },
    prepare: async () => {
      throw new Error('no table today')
    },
  })
  await expect(startPipeline({ definitions: [broken], servers })).rejects.toThrow('no table today')
  await expect(
    startPipeline({ definitions: [counted], servers, settings: { EVENTFLOW_LANES: 'many' } }),
  ).rejects.toThrow('EVENTFLOW_LANES is not valid')
  await expect(startPipeline({ servers })).rejects.toThrow('a pipeline needs event types')
  expect(await databases()).toEqual(before)
})

test('the servers stop when the process that started them is killed', async () => {
  const script = `
    import { startServers } from '${new URL('./index.js', import.meta.url)}'
    console.log((await startServers({ cacheDir: '${redisCacheDir()}', log: (line) => console.log(line) })).postgres)
    process.kill(process.pid, 'SIGKILL')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (more) => (said += more))
  await once(child, 'close')
  const folder = /Postgres .*its data in (\S+)\/postgres$/m.exec(said)![1]!
  expect(said).toContain('postgres://')
  await until(
    'its folder is gone',
    () =>
      stat(folder).then(
        () => false,
        () => true,
      ),
    60_000,
  )
}, 120_000)
