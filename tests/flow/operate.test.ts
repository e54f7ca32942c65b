/** What an operator sees (health, metrics, documentation), and how the service stops. */
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type EventDefinition, loadDefinitions } from '@eventflow/sdk'
import { post, sessionsWaiting, startPipeline, type TestPipeline, until, whileLocked } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Validator } from '@seriousme/openapi-schema-validator'

const SAMPLES = join(import.meta.dirname, '../../../packages/samples/dist/events')

let samples: EventDefinition[]
let pipeline: TestPipeline

beforeAll(async () => {
  samples = [...(await loadDefinitions(SAMPLES)).events.values()]
  pipeline = await startPipeline(samples)
})

afterAll(() => pipeline.stop())

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
type Answer = { status: number; body: any }
async function get(path: string): Promise<Answer> {
  const response = await fetch(pipeline.url + path)
  return { status: response.status, body: await response.json() }
}

test('a worker that starts and stops is seen in /health and /metrics/summary', async () => {
  const alone = await get('/health')
  expect(alone).toMatchObject({
    status: 200,
    body: {
      status: 'degraded',
      checks: {
        postgres: { status: 'ok', latency_ms: expect.any(Number) },
        redis: { status: 'ok', latency_ms: expect.any(Number) },
        workers: { status: 'down', live: [], detail: 'no worker is running' },
      },
    },
  })
  const worker = await pipeline.startWorker('present')
  await until('the worker has its share', async () => {
    const { workers } = (await get('/metrics/summary')).body
    return workers[0]?.partitions.length === pipeline.partitions
  })
  expect(await get('/health')).toMatchObject({
    status: 200,
    body: { status: 'ok', checks: { workers: { live: ['present'] } } },
  })
  await worker.stop()
  await until('it is gone', async () => (await get('/metrics/summary')).body.workers.length === 0)
  expect((await get('/health')).body.status).toBe('degraded')
})

test('/livez and /readyz succeed', async () => {
  expect(await get('/livez')).toEqual({ status: 200, body: { status: 'ok' } })
  expect(await get('/readyz')).toEqual({ status: 200, body: { status: 'ready' } })
})

describe('the metrics', () => {
  /** The sum of a metric over the series whose labels include these. */
  async function sumOf(name: string, labels: Record<string, string> = {}): Promise<number> {
    const lines = (await (await fetch(`${pipeline.url}/metrics`)).text()).split('\n')
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    return lines
      .filter(
        (line) => new RegExp(`^eventflow_${name}[{ ]`).test(line) && wanted.every((label) => line.includes(label)),
      )
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }
  const received = (outcome: string, type?: string) =>
    sumOf('events_received_total', { outcome, ...(type && { type }) })
  const counts = async () => ({
    accepted: await received('accepted', 'order.created'),
    other: await received('accepted', 'other'),
    duplicate: await received('duplicate', 'order.created'),
    conflict: await received('conflict', 'order.created'),
    invalid: await received('invalid'),
    requests: await sumOf('ingest_duration_seconds_count'),
    flushed: await sumOf('flush_size_sum'),
  })

  test('change with the events sent', async () => {
    const order = (given: object) => ({ type: 'order.created', data: {}, ...given })
    const before = await counts()
    const id = 'one-order'
    await pipeline.send([
      order({ id }),
      order({}),
      order({ id }),
      order({ id, data: { other: 1 } }),
      { type: 'no data' },
    ])
    await pipeline.send([
      { type: 'not.defined', data: {} },
      { type: 'also.not.defined', data: {} },
    ])
    await post(`${pipeline.url}/v1/events`, order({ id }))
    await post(`${pipeline.url}/v1/events`, { type: 'order.created' })
    const moved = Object.entries(await counts()).map(([name, value]) => [
      name,
      value - before[name as keyof typeof before],
    ])
    expect(Object.fromEntries(moved)).toEqual({
      accepted: 2,
      other: 2,
      duplicate: 2,
      conflict: 1,
      invalid: 2,
      requests: 3,
      flushed: 7,
    })
  })

  test('never have a label made of clients’ data', async () => {
    await pipeline.send([
      { type: 'canary-type', id: 'canary-id', partitionkey: 'canary-key', data: { a: 'canary-data' } },
    ])
    expect(await (await fetch(`${pipeline.url}/metrics`)).text()).not.toContain('canary')
  })

  test('have a summary for people', async () => {
    const { rows } = await pipeline.db.query('SELECT count(*)::integer AS accepted FROM raw_events')
    const { accepted } = rows[0]
    const body = await until('it is fresh', async () => {
      const { body } = await get('/metrics/summary?counts=true')
      return body.unsettled === accepted && body
    })
    expect(body).toMatchObject({
      events: { accepted, processed: 0, failed: 0, retrying: 0, unsettled: accepted },
      streams: { length: expect.any(Number), pending: 0 },
      workers: [],
    })
    // A duplicate was published a second time.
    expect(body.lag).toBeGreaterThanOrEqual(accepted)
    expect(body.partitions).toHaveLength(pipeline.partitions)
    expect((await get('/metrics/summary')).body.events).toBeUndefined()
    expect((await get('/metrics/summary?count=true')).status).toBe(400)
  })
})

// biome-ignore lint/suspicious/noExplicitAny: an example may have any shape.
type Example = any
type Content = { example?: Example; examples?: Record<string, { value: Example }> }

describe('the documentation', () => {
  test('is a page', async () => {
    const page = await fetch(`${pipeline.url}/docs`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toMatch('text/html')
  })

  test('has an example of each defined type, and each works when it is pasted', async () => {
    const { body } = await get('/openapi.json')
    /** Each example of a route, with its content type. */
    const examplesAt = (path: string) =>
      Object.entries<Content>(body.paths[path].post.requestBody.content).flatMap(([type, { example, examples }]) =>
        (example ? [example] : Object.values(examples!).map(({ value }) => value)).map((sent) => ({ type, sent })),
      )
    const singles = examplesAt('/v1/events')
    const plain = singles.filter(({ type }) => type === 'application/json')
    expect(plain.map(({ sent }) => sent.type).sort()).toEqual(samples.map(({ type }) => type).sort())
    expect(singles).toHaveLength(2 * samples.length)
    for (const { type, sent } of singles) {
      expect((await post(`${pipeline.url}/v1/events`, sent, { 'content-type': type })).status).toBe(202)
    }

    const batches = examplesAt('/v1/events/batch')
    expect(batches.map(({ type }) => type)).toEqual([
      'application/json',
      'application/cloudevents-batch+json',
      'application/x-ndjson',
    ])
    for (const { type, sent } of batches) {
      const answer = await post(`${pipeline.url}/v1/events/batch`, sent, { 'content-type': type })
      // The CloudEvents have ids, and were sent singly before.
      const outcome = type.includes('cloudevents') ? 'duplicate' : 'accepted'
      expect(await answer.json()).toMatchObject({ [outcome]: samples.length, rejected: 0 })
    }
  })

  test('is a valid OpenAPI document', async () => {
    const { body } = await get('/openapi.json')
    expect(await new Validator().validate(body)).toEqual({ valid: true })
  })

  test('names every route that a client may use', async () => {
    const { body } = await get('/openapi.json')
    expect(Object.keys(body.paths).sort()).toEqual([
      '/health',
      '/livez',
      '/metrics',
      '/metrics/summary',
      '/readyz',
      '/v1/audit-log',
      '/v1/dead-letters',
      '/v1/dead-letters/discard',
      '/v1/dead-letters/replay',
      '/v1/dead-letters/{id}',
      '/v1/event-types',
      '/v1/events',
      '/v1/events/batch',
      '/v1/events/replay',
      '/v1/events/{id}',
      '/v1/groups',
      '/v1/groups/{name}',
      '/v1/groups/{name}/dead-letters',
      '/v1/groups/{name}/dead-letters/discard',
      '/v1/groups/{name}/dead-letters/replay',
      '/v1/groups/{name}/dead-letters/{id}',
      '/v1/groups/{name}/pause',
      '/v1/groups/{name}/positions',
      '/v1/groups/{name}/reset',
      '/v1/groups/{name}/resume',
      '/v1/joins',
      '/v1/joins/{name}',
      '/v1/joins/{name}/late',
      '/v1/joins/{name}/waiting',
      '/v1/keys',
      '/v1/keys/{id}',
      '/v1/live',
      '/v1/log',
      '/v1/operations',
      '/v1/operations/{id}',
      '/v1/operations/{id}/cancel',
      '/v1/operations/{id}/resume',
      '/v1/schemas',
      '/v1/schemas/{type}',
      '/v1/schemas/{type}/check',
      '/v1/schemas/{type}/compatibility',
      '/v1/schemas/{type}/usage',
      '/v1/schemas/{type}/versions/{version}',
      '/v1/waiting',
      '/v1/waiting/{id}/skip',
      '/v1/windows',
      '/v1/windows/{name}',
      '/v1/windows/{name}/late',
      '/v1/windows/{name}/open',
      '/v1/windows/{name}/results',
    ])
  })
})

test('a stop answers requests in flight, ends readiness, and is held up by no idle or silent connection', async () => {
  const stopping = await startPipeline([])
  const silent = connect(Number(new URL(stopping.url).port), '127.0.0.1').on('error', () => {})
  await once(silent, 'connect')
  const agent = new Agent({ keepAlive: true })
  const idle = request(`${stopping.url}/livez`, { agent }).end()
  const [response] = await once(idle, 'response')
  response.resume()
  await once(response, 'end')

  let answered: Promise<Response> | undefined
  let closed: Promise<void> | undefined
  await whileLocked(stopping.db, 'raw_events', async () => {
    answered = post(`${stopping.url}/v1/events`, { type: 'note.taken', data: {} })
    await until('the INSERT waits', async () => (await sessionsWaiting(stopping.db)).length === 1)
    closed = stopping.app.close()
    await expect(fetch(`${stopping.url}/readyz`)).rejects.toThrow()
  })
  const start = performance.now()
  expect((await answered)?.status).toBe(202)
  await closed
  expect(performance.now() - start).toBeLessThan(3_000)
  agent.destroy()
  silent.destroy()
  await stopping.stop()
})
