/** The client against a server that misbehaves. */
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type Client, createClient } from './client.js'
import { EventText, type OutgoingEvent } from './event.js'
import { EventRejected, RequestFailed } from './failure.js'
import type { RequestReport } from './http.js'
import { answer, refuse, sendJson, startServer, type TestServer } from './test-server.js'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

let server: TestServer
let client: Client
let tries: RequestReport[]

beforeEach(async () => {
  server = await startServer()
  tries = []
  client = createClient({ url: server.url, baseDelayMs: 1, onRequest: (request) => tries.push(request) })
})

afterEach(async () => {
  await client.close()
  await server.close()
})

test('an event without an id gets a UUIDv7, one with an id keeps it', async () => {
  const { id, duplicate } = await client.send(order(1))
  expect(id).toMatch(UUID_V7)
  expect(duplicate).toBe(false)
  expect(await client.send({ ...order(2), id: 'mine' })).toEqual({ id: 'mine', duplicate: false })
  expect(await client.send({ ...order(2), id: 'mine' })).toEqual({ id: 'mine', duplicate: true })
  expect(server.stored).toEqual([
    { ...order(1), id },
    { ...order(2), id: 'mine' },
  ])
})

test('the ids of a batch ascend in batch order', async () => {
  const { items } = await client.sendBatch(Array.from({ length: 1000 }, (_, n) => order(n)))
  const ids = items.map(({ id }) => id)
  expect(ids).toEqual([...ids].sort())
})

test('a retry after 429 waits as long as Retry-After says', async () => {
  server.faults.push(refuse(429, {}, '1'))
  const startedAt = performance.now()
  await client.send(order(1))
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1000)
  expect(tries.map(({ status }) => status)).toEqual([429, 202])
})

test.each([408, 500, 502, 503, 504])('%i is retried', async (status) => {
  server.faults.push(refuse(status), refuse(status))
  await client.send(order(1))
  expect(tries.map((request) => request.status)).toEqual([status, status, 202])
})

test('a connection reset after the event was stored: the retry has the same id and bytes, so it is one event', async () => {
  server.faults.push(({ events }, response) => {
    server.store(events)
    response.destroy()
  })
  const event = order(1)
  const sending = client.send(event)
  event.data.n = 'changed meanwhile'
  expect(await sending).toMatchObject({ duplicate: true })
  expect(server.requests[1]!.events).toEqual(server.requests[0]!.events)
  expect(server.stored).toHaveLength(1)
  expect(tries[0]!.status).toBeUndefined()
})

test('a request whose answer exceeds the timeout is sent again', async () => {
  const impatient = createClient({ url: server.url, baseDelayMs: 1, timeoutMs: 100 })
  server.faults.push(() => undefined)
  expect(await impatient.send(order(1))).toMatchObject({ duplicate: false })
  expect(server.requests).toHaveLength(2)
  await impatient.close()
})

test('an answer from another kind of server never counts as accepted', async () => {
  const hasty = createClient({ url: server.url, giveUpAfterMs: 0 })
  const notOurs = [{ ok: true }, { items: [] }, { items: [{ index: 7, status: 'accepted' }] }, 'welcome']
  for (const body of notOurs) {
    server.faults.push((_, response) => sendJson(response, 200, body))
    expect(await hasty.sendBatch([order(1), order(2)])).toMatchObject({ accepted: 0, undelivered: 2 })
    server.faults.push((_, response) => sendJson(response, 200, body))
    await expect(hasty.send(order(1))).rejects.toThrow(/not from an EventFlow server/)
  }
  await hasty.close()
})

test('a rejected event raises an error with the whole problem, and is not retried', async () => {
  const errors = [{ pointer: '/data/amount', message: 'must be a number' }]
  server.faults.push(refuse(422, { code: 'invalid-event', title: 'The event is not valid', errors }))
  const error = await client.send(order(1)).catch((reason) => reason)
  expect(error).toBeInstanceOf(EventRejected)
  expect(error.problem).toMatchObject({ status: 422, code: 'invalid-event', errors })
  expect(error.message).toBe('422 The event is not valid: /data/amount must be a number')
  expect(tries).toHaveLength(1)
})

test('a refused client raises an error that does not blame the event', async () => {
  server.faults.push(refuse(401, { title: 'No such key' }), refuse(401))
  await expect(client.send(order(1))).rejects.toThrow(
    new RequestFailed({ problem: { status: 401, title: 'No such key' } }, 1),
  )
  expect(await client.sendBatch([order(1), order(2)])).toMatchObject({ rejected: 0, undelivered: 2 })
  expect(tries).toHaveLength(2)
})

test('only the items that could not be stored are sent again', async () => {
  server.faults.push(({ events }, response) => {
    server.store([events[0]!])
    const error = { status: 503, title: 'The event could not be stored now' }
    const items = events.map(({ id }, index) =>
      index === 0 ? { index, id, status: 'accepted' } : { index, id, status: 'rejected', error, retryable: true },
    )
    sendJson(response, 200, { items })
  })
  const { accepted, items } = await client.sendBatch([order(1), order(2), order(3)])
  expect(accepted).toBe(3)
  expect(server.requests[1]!.events.map(({ id }) => id)).toEqual([items[1]!.id, items[2]!.id])
  expect(server.stored.map(({ data }) => data.n)).toEqual([1, 2, 3])
})

test('one bad event of a batch does not affect the others', async () => {
  server.faults.push(({ events }, response) => {
    server.store([events[0]!, events[2]!])
    const error = { status: 422, title: 'The event is not valid' }
    const items = events.map(({ id }, index) =>
      index === 1 ? { index, id, status: 'rejected', error, retryable: false } : { index, id, status: 'accepted' },
    )
    sendJson(response, 200, { items })
  })
  const result = await client.sendBatch([order(1), order(2), order(3)])
  expect(result).toMatchObject({ accepted: 2, rejected: 1 })
  expect(result.items[1]).toMatchObject({ status: 'rejected', error: { problem: { status: 422 } } })
})

test('a batch that is refused as a whole is halved, in order, down to the event at fault', async () => {
  const events = Array.from({ length: 10 }, (_, n) => order(n))
  server.fault = (request, ...rest) => {
    const fault = request.events.some(({ data }) => data.n === 6) ? refuse(413) : answer
    return fault(request, ...rest)
  }
  const result = await client.sendBatch(events)
  expect(result).toMatchObject({ accepted: 9, rejected: 1 })
  expect(result.items[6]!.status).toBe('rejected')
  expect(server.stored.map(({ data }) => data.n)).toEqual([0, 1, 2, 3, 4, 5, 7, 8, 9])
})

test('when the time is up, the error reports the attempts', async () => {
  const { port } = server
  await server.close()
  const hasty = createClient({ url: `http://127.0.0.1:${port}`, baseDelayMs: 1, giveUpAfterMs: 500 })
  const error = await hasty.send(order(1)).catch((reason) => reason)
  expect(error).toBeInstanceOf(RequestFailed)
  expect(error.attempts).toBeGreaterThan(1)
  expect(error.message).toMatch(/ECONNREFUSED.*\(tried \d+ times\)/)
  expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
  await hasty.close()
  server = await startServer()
})

test('an aborted signal ends the retries', async () => {
  const stop = new AbortController()
  server.faults.push((request, response) => {
    stop.abort()
    refuse(503, {}, '3600')(request, response, server)
  })
  const patient = createClient({ url: server.url, giveUpAfterMs: Number.POSITIVE_INFINITY })
  expect(await patient.sendBatch([order(1)], { signal: stop.signal })).toMatchObject({ undelivered: 1 })
  await patient.close()
})

test('requests carry the API key, the path of the URL and the query', async () => {
  const proxied = createClient({ url: `${server.url}/behind/a/proxy/`, apiKey: 'secret' })
  const summary = { events: { accepted: 3, processed: 1, failed: 1, retrying: 0, unsettled: 1 } }
  server.faults.push(
    (_, response) => sendJson(response, 200, summary),
    (_, response) => sendJson(response, 200, { id: 'a/b', status: 'processed' }),
    refuse(404),
  )
  expect(await proxied.summary()).toEqual(summary)
  expect(await proxied.event('a/b', { waitMs: 1500 })).toMatchObject({ status: 'processed' })
  expect(await proxied.event('none')).toBeUndefined()
  server.faults.push((_, response) => sendJson(response, 200, { nginx: true }))
  await expect(proxied.summary()).rejects.toThrow(/not from an EventFlow server/)
  expect(server.requests.slice(0, 3).map(({ url }) => url)).toEqual([
    '/behind/a/proxy/metrics/summary?counts=true',
    '/behind/a/proxy/v1/events/a%2Fb?wait=2s',
    '/behind/a/proxy/v1/events/none',
  ])
  expect(server.requests[0]!.headers.authorization).toBe('Bearer secret')
  await proxied.close()
})

test.each<[string, unknown, string]>([
  ['NaN', { a: [1, { b: Number.NaN }] }, 'the number NaN at /data/a/1/b'],
  ['an infinity', { a: -Infinity }, 'the number -Infinity at /data/a'],
  ['undefined in an array', { a: [undefined] }, 'undefined in an array at /data/a/0'],
  ['a hole', { a: new Array(1) }, 'undefined in an array at /data/a/0'],
  ['a Map', { a: new Map([[1, 2]]) }, 'a Map at /data/a'],
  ['a Set', { 'a/b~': new Set() }, 'a Set at /data/a~1b~0'],
  ['a bigint', { a: 1n }, 'a bigint at /data/a'],
  ['a function', { a: () => 1 }, 'a function at /data/a'],
  ['a symbol', { a: Symbol('x') }, 'a symbol at /data/a'],
  ['an instance', { a: new (class Money {})() }, 'a Money at /data/a'],
  ['bytes', { a: new Uint8Array(1) }, 'a Uint8Array at /data/a'],
  ['an invalid Date', { a: new Date(Number.NaN) }, 'an invalid Date at /data/a'],
])('%s is refused before anything is sent', async (_, data, what) => {
  const wrong = { type: 'order.created', data } as OutgoingEvent
  await expect(client.send(wrong)).rejects.toThrow(
    new TypeError(`the event cannot be sent: JSON cannot express ${what}`),
  )
  await expect(client.sendBatch([order(1), wrong])).rejects.toThrow(/^event 1 cannot be sent: /)
  expect(server.requests).toEqual([])
})

test('an object that contains itself is refused; anything JSON can carry is accepted', async () => {
  const circle: Record<string, unknown> = {}
  circle.again = { circle }
  await expect(client.send({ type: 'a', data: circle })).rejects.toThrow(TypeError)
  const data = { at: new Date(0), none: undefined, zero: -0, deep: [[[null]]], bare: Object.create(null) }
  const { id } = await client.send({ type: 'a', data })
  const carried = { at: '1970-01-01T00:00:00.000Z', zero: 0, deep: [[[null]]], bare: {} }
  expect(server.stored).toEqual([{ id, type: 'a', data: carried }])
})

test('events with extension attributes are sent as CloudEvents, in order with the others', async () => {
  const traced = (n: number) => ({ ...order(n), id: `e${n}`, tier: 'gold', retries: n, test: true })
  await client.send(traced(0))
  await client.sendBatch([order(1), traced(2), { ...traced(3), source: '/shop' }, order(4)])
  expect(server.requests.map(({ headers, events }) => [headers['content-type'], events.length])).toEqual([
    ['application/cloudevents+json', 1],
    ['application/json', 1],
    ['application/cloudevents-batch+json', 2],
    ['application/json', 1],
  ])
  expect(server.stored[0]).toEqual({ ...traced(0), specversion: '1.0', source: '/' })
  expect(server.stored[3]).toMatchObject({ tier: 'gold', source: '/shop' })
  expect(server.stored.map(({ data }) => data.n)).toEqual([0, 1, 2, 3, 4])
  await expect(client.send({ ...order(1), partitionKey: 'a' })).rejects.toThrow(
    /\/partitionKey is not an attribute name/,
  )
  await expect(client.send({ ...order(1), tier: 1.5 })).rejects.toThrow(/\/tier must be a string/)
})

test('JSON text is sent unchanged', async () => {
  const json = '{"id":"a", "type":"a", "data":{"n":1.10}}'
  await client.send(new EventText(json))
  expect(server.requests[0]!.text).toBe(json)
  expect(() => new EventText('[]')).toThrow(TypeError)
  expect(() => new EventText('{')).toThrow(SyntaxError)
})

function order(n: number): OutgoingEvent {
  return { type: 'order.created', partitionkey: 'user-1', data: { n } }
}
