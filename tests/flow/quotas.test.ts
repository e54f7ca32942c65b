/** Quotas: how much a tenant may send in total, through any ingest, and the answers that say so. */
import { gzipSync } from 'node:zlib'
import { createApiKey, createTenant, setQuota } from '@eventflow/db'
import { buildApp } from '@eventflow/ingest'
import { connectRedis, type Redis, untilReady } from '@eventflow/redis'
import { createLog, IngestConfig, readConfig } from '@eventflow/runtime'
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startOwnRedis, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const note = defineEvent({ type: 'note', schema: Type.Object({}, { additionalProperties: true }) })

let pipeline: TestPipeline
let second: Awaited<ReturnType<typeof buildApp>>
let redisServer: Awaited<ReturnType<typeof startOwnRedis>>
let redis: Redis
let urls: string[]

beforeAll(async () => {
  redisServer = await startOwnRedis()
  const settings = { EVENTFLOW_AUTH: 'required', REDIS_URL: redisServer.url }
  pipeline = await startPipeline([note], settings)
  const config = readConfig(IngestConfig, {
    ...settings,
    DATABASE_URL: pipeline.databaseUrl,
    EVENTFLOW_EVENTS: 'given directly',
    EVENTFLOW_STREAM_PREFIX: pipeline.prefix,
    EVENTFLOW_LOG_LEVEL: 'silent',
  })
  redis = connectRedis({ url: redisServer.url, onError: () => {} })
  await untilReady(redis, 5_000)
  second = await buildApp({
    config,
    db: pipeline.db,
    asking: pipeline.db,
    redis,
    log: createLog('second', config),
    metrics: pipeline.ingestMetrics,
    definitions: new Map([['note', note]]),
    partitions: pipeline.partitions,
  })
  urls = [pipeline.url, await second.listen({ host: '127.0.0.1', port: 0 })]
})

afterAll(async () => {
  await second.close()
  redis.disconnect()
  await pipeline.stop()
  await redisServer.stop()
})

/** A new tenant, and functions that send a batch to the one ingest or the other. */
async function startTenant(id: string, eventsPerSecond: number | null, bytesPerSecond: number | null) {
  await createTenant(pipeline.db, id, 'test')
  await setQuota(pipeline.db, id, { eventsPerSecond, bytesPerSecond }, 'test')
  const { key } = await createApiKey(pipeline.db, { tenantId: id, name: id, scopes: ['ingest', 'read'] }, 'test')
  const send = (count: number, to = 0, data: object = {}) =>
    post(`${urls[to]}/v1/events/batch`, Array(count).fill({ type: 'note', data }), { authorization: `Bearer ${key}` })
  return Object.assign(send, { key })
}

test('a tenant over its quota is answered 429, with the time to wait and its present state', async () => {
  const send = await startTenant('told', 10, null)
  const first = await send(5)
  expect(first.status).toBe(200)
  expect(first.headers.get('ratelimit-policy')).toBe('"events";q=20;w=2')
  expect(first.headers.get('ratelimit')).toBe('"events";r=15;t=1')
  // Less than this is left; a request passes as long as anything is left.
  expect((await send(45)).status).toBe(200)
  const refused = await send(1)
  expect([refused.status, await refused.json()]).toEqual([429, expect.objectContaining({ code: 'quota-exceeded' })])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(2)
  expect(refused.headers.get('ratelimit')).toMatch(/^"events";r=0;t=\d$/)
  const { rows } = await pipeline.db.query(`SELECT count(*) FROM raw_events WHERE tenant_id = 'told'`)
  expect(rows[0].count).toBe(50)
  const { values } = await pipeline.ingestMetrics.requestsRefused.get()
  expect(values.filter(({ value }) => value > 0)).toEqual([{ labels: { code: 'quota-exceeded' }, value: 1 }])
})

test('bytes count too: of text in UTF-8, of spaces, and of compressed bodies as inflated', async () => {
  const text = '€'.repeat(300)
  for (const [name, data, headers] of [
    ['utf8', JSON.stringify({ type: 'note', data: { text } }), {}],
    ['spaces', `{"type":"note","data":{}}${' '.repeat(900)}`, {}],
    ['gzip', gzipSync(`{"type":"note","data":{}}${' '.repeat(900)}`), { 'content-encoding': 'gzip' }],
  ] as const) {
    const { key } = await startTenant(name, null, 200)
    const send = () => post(`${urls[0]}/v1/events`, data, { ...headers, authorization: `Bearer ${key}` })
    expect([name, (await send()).status, (await send()).status]).toEqual([name, 202, 429])
  }
})

test('refused events count like accepted ones', async () => {
  const invalid = '{"type":"","data":{}}'
  for (const [name, path, body] of [
    ['invalid', '', invalid],
    ['malformed', '', '{"type":'],
    ['batch', '/batch', `[${Array(3).fill(invalid)}]`],
    ['lines', '/batch', `${invalid}\n{"type":\n1`],
    ['bomb', '', gzipSync(Buffer.alloc(2_000_000))],
  ] as const) {
    const { key } = await startTenant(name, 1, 1_000_000)
    const type = name === 'lines' ? 'application/x-ndjson' : 'application/json'
    const headers = { authorization: `Bearer ${key}`, 'content-type': type }
    if (name === 'bomb') Object.assign(headers, { 'content-encoding': 'gzip' })
    const answers = Array.from({ length: 10 }, () => post(`${urls[0]}/v1/events${path}`, body, headers))
    const statuses = (await Promise.all(answers)).map(({ status }) => status)
    expect([name, statuses.includes(429), statuses.some((status) => status < 429)]).toEqual([name, true, true])
  }
})

test('concurrent batches overdraw it by one of them, not by all', async () => {
  const send = await startTenant('together', 100, null)
  const statuses = (await Promise.all(Array.from({ length: 8 }, () => send(500)))).map(({ status }) => status)
  expect(statuses.sort()).toEqual([200, ...Array(7).fill(429)])
  const { rows } = await pipeline.db.query(`SELECT count(*) FROM raw_events WHERE tenant_id = 'together'`)
  expect(rows[0].count).toBe(500)
})

test('other requests have a separate limit: as many a second as events, and at least fifty', async () => {
  for (const [name, rate, least] of [
    ['asks', 60, 120],
    ['asks little', 1, 100],
  ] as const) {
    const send = await startTenant(name, rate, null)
    const headers = { authorization: `Bearer ${send.key}` }
    const ask = () => fetch(`${urls[0]}/v1/event-types`, { headers })
    const answers = await Promise.all(Array.from({ length: 300 }, ask))
    const taken = answers.filter(({ status }) => status === 200).length
    expect(taken).toBeGreaterThanOrEqual(least)
    expect(taken).toBeLessThan(300)
    const refused = answers.find(({ status }) => status !== 200)!
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(await refused.json()).toMatchObject({ code: 'quota-exceeded' })
    expect((await send(1)).status).toBe(200)
  }
})

test('two ingests together let the quota pass, and no more', async () => {
  const send = await startTenant('shared', 200, null)
  const startedAt = performance.now()
  const allowedAt = (at: number) => 400 + ((at - startedAt) / 1_000) * 200
  let accepted = 0
  /**
   * When the last refused request was sent, and how many events had been accepted when its answer came. A busy machine
   * may refuse none.
   */
  let refusal = { at: startedAt, accepted: Number.POSITIVE_INFINITY }
  // A quota limits a rate: it takes some time to see that it is kept.
  const sendTo = async (to: number) => {
    while (performance.now() - startedAt < 3_000) {
      const at = performance.now()
      if ((await send(10, to)).status === 200) accepted += 10
      else refusal = { at, accepted }
    }
  }
  await Promise.all([sendTo(0), sendTo(1)])
  // Each may overdraw by one request, and by what the other spends until they have exchanged their counts.
  expect(accepted).toBeLessThan(allowedAt(performance.now()) * 1.15)
  // A refused tenant has used its quota by then. At the end a busy machine may keep both from sending.
  expect(refusal.accepted).toBeGreaterThan(allowedAt(refusal.at) * 0.8)
})

test('other tenants are not affected', async () => {
  const [greedy, modest] = [await startTenant('greedy', 1, null), await startTenant('modest', 1_000, null)]
  await until('the one is refused', async () => (await greedy(10)).status === 429)
  expect((await modest(10)).status).toBe(200)
})

test('removing a quota takes effect within seconds', async () => {
  const send = await startTenant('lifted', 1, null)
  await until('it is refused', async () => (await send(10)).status === 429)
  await setQuota(pipeline.db, 'lifted', { eventsPerSecond: null, bytesPerSecond: null }, 'test')
  await until('it may send again', async () => (await send(1)).status === 200, 5_000)
  expect((await send(1)).headers.get('ratelimit')).toBeNull()
})

test('without Redis each ingest counts its own requests, and no debt remains afterwards', async () => {
  const send = await startTenant('alone', 100, null)
  await redisServer.stop()
  expect((await send(300)).status).toBe(200)
  expect((await send(1)).status).toBe(429)
  await until('it may send again', async () => (await send(1)).status === 200, 5_000)
})
