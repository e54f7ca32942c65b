/** Idle and slow connections take no place from clients with requests. */
import { gzipSync } from 'node:zlib'
import { createApiKey, createTenant } from '@eventflow/db'
import { serveHealth } from '@eventflow/ingest'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { type Dialled, dialTo } from '../dial.js'

const PER_ADDRESS = 20
const CONNECTIONS = 30

let pipeline: TestPipeline
let health: Awaited<ReturnType<typeof serveHealth>>
let healthUrl: string
const dialled: Dialled[] = []

beforeAll(async () => {
  pipeline = await startPipeline([], {
    EVENTFLOW_MAX_CONNECTIONS: `${CONNECTIONS}`,
    EVENTFLOW_MAX_CONNECTIONS_PER_ADDRESS: `${PER_ADDRESS}`,
    EVENTFLOW_MIN_BODY_BYTES_PER_SECOND: '1000',
    EVENTFLOW_MAX_IN_FLIGHT_BYTES: '100000',
  })
  health = await serveHealth(pipeline.app, '127.0.0.1', 0)
  healthUrl = `http://127.0.0.1:${(health.address() as { port: number }).port}`
})

afterEach(async () => {
  for (const { socket } of dialled.splice(0)) socket.destroy()
  await until('they are closed', async () => (await atOnce()) === 0)
})

afterAll(async () => {
  health.close().closeAllConnections()
  await pipeline.stop()
})

const EVENT = '{"type":"note.taken","data":{}}'
/** The head of a request, which is answered 100 as soon as its body is awaited. */
const headOf = (length: number, more = '') =>
  `POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${more}Expect: 100-continue\r\n\r\n`
const HEAD = headOf(EVENT.length)

/** A connection from one of the addresses of this machine. */
function dial(localAddress: string, text = ''): Dialled {
  const made = dialTo(pipeline.url, localAddress)
  dialled.push(made)
  if (text) made.socket.write(text)
  return made
}
const many = (count: number, localAddress: string, text = '') =>
  Array.from({ length: count }, () => dial(localAddress, text))

/** Waits until the service reads the bodies of requests. */
const underWay = (requests: readonly Dialled[]) =>
  until('they are under way', async () => requests.every(({ received }) => received().includes('100 Continue')))

const send = () => post(`${pipeline.url}/v1/events`, EVENT, { connection: 'close' })
const closedForRoom = async () =>
  Number(/eventflow_connections_refused_total\S* (\d+)/.exec(await pipeline.ingestMetrics.registry.metrics())![1])
const atOnce = () => new Promise<number>((resolve) => pipeline.app.server.getConnections((_, count) => resolve(count)))

test('silent connections are closed for new ones, within one address and over all', async () => {
  const before = await closedForRoom()
  many(CONNECTIONS * 2, '127.0.0.1')
  await until('some are closed', async () => (await closedForRoom()) >= before + CONNECTIONS * 2 - PER_ADDRESS)
  expect(await atOnce()).toBeLessThanOrEqual(PER_ADDRESS)
  expect((await send()).status).toBe(202)
  for (const address of ['127.0.0.2', '127.0.0.3']) many(PER_ADDRESS, address)
  await until('all places are taken', async () => (await atOnce()) === CONNECTIONS)
  expect((await send()).status).toBe(202)
})

test('the connection idle for longest is closed first, but only after those that never sent anything', async () => {
  const ask = async ({ socket, received }: Dialled) => {
    const had = received().length
    socket.write('GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await until('it is answered', async () => received().length > had)
  }
  const [first, second] = [dial('127.0.0.4'), dial('127.0.0.4')]
  await ask(first)
  await ask(second)
  await ask(first)
  many(PER_ADDRESS - 2, '127.0.0.4')
  const next = dial('127.0.0.4')
  await ask(next)
  await ask(first)
  await ask(second)
  const requests = many(PER_ADDRESS - 3, '127.0.0.4', HEAD)
  await underWay(requests)
  dial('127.0.0.4', HEAD)
  await next.closed
  expect([first, second, ...requests].map(({ socket }) => socket.closed)).not.toContain(true)
})

test('if all have a request in flight a new one is closed; other addresses and the health port have room', async () => {
  await underWay(many(PER_ADDRESS, '127.0.0.5', HEAD))
  expect(await dial('127.0.0.5', `${HEAD}${EVENT}`).closed).toBe('')
  expect((await send()).status).toBe(202)
  await underWay(many(CONNECTIONS - PER_ADDRESS, '127.0.0.6', HEAD))
  await expect(send()).rejects.toThrow('fetch failed')
  for (const path of ['/livez', '/readyz', '/metrics']) expect((await fetch(healthUrl + path)).status).toBe(200)
  expect(await (await fetch(`${healthUrl}/health`)).json()).toMatchObject({ status: 'degraded' })
  expect((await fetch(`${healthUrl}/v1/events/a`)).status).toBe(404)
})

test('requests of one connection are served one after the other, however many arrive at once', async () => {
  const ids = Array.from({ length: 20 }, (_, n) => `pipelined ${n}`)
  const requests = ids.map((id, n) => {
    const text = JSON.stringify({ id, type: 'note.taken', data: { text: 'x'.repeat(20_000) } })
    // Inflating takes another thread: a request without it would be stored earlier.
    const body = n % 2 === 0 ? gzipSync(text) : Buffer.from(text)
    const encoding = n % 2 === 0 ? 'Content-Encoding: gzip\r\n' : ''
    const head = `POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n${encoding}Content-Length: ${body.length}\r\n\r\n`
    return Buffer.concat([Buffer.from(head), body])
  })
  const { socket, received } = dial('127.0.0.1')
  socket.write(Buffer.concat(requests))
  await until('all are answered', async () => received().split('HTTP/1.1 202').length === ids.length + 1)
  const { rows } = await pipeline.db.query(
    `SELECT external_id FROM raw_events WHERE external_id LIKE 'pipelined %' ORDER BY seq`,
  )
  expect(rows.map(({ external_id }) => external_id)).toEqual(ids)
})

test('a connection with thousands of requests at once is cut off; a few dozen are answered', async () => {
  const request = 'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
  await dial('127.0.0.1', request.repeat(5_000)).closed
  const { received } = dial('127.0.0.1', request.repeat(50))
  await until('all are answered', async () => received().split('HTTP/1.1 200').length === 51)
})

test('a client that asks for a tunnel and resets the connection harms nothing', async () => {
  const { socket, closed } = dial('127.0.0.1', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n')
  // Just before it is answered.
  pipeline.app.server.prependOnceListener('connect', () => socket.resetAndDestroy())
  await closed
  expect((await send()).status).toBe(202)
})

test('a body counts against the memory limit with its inflated size, until its request is answered', async () => {
  const padded = (length: number) =>
    post(`${pipeline.url}/v1/events/batch`, gzipSync(`[${EVENT}]`.padEnd(length)), {
      ...{ 'content-type': 'application/json', 'content-encoding': 'gzip', connection: 'close' },
    })
  const client = await pipeline.db.connect()
  try {
    await client.query('BEGIN')
    await client.query('LOCK TABLE raw_events IN ACCESS EXCLUSIVE MODE')
    const first = padded(60_000)
    await until('it is being stored', async () => {
      const waits = await pipeline.db.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO event_ids%'`,
      )
      return waits.rowCount !== 0
    })
    expect((await padded(60_000)).status).toBe(503)
    await client.query('COMMIT')
    expect((await first).status).toBe(200)
    expect((await padded(60_000)).status).toBe(200)
  } finally {
    client.release(true)
  }
})

test('a large batch being stored holds up no single event', async () => {
  const events = Array.from({ length: 100 }, (_, n) => ({ id: `large ${n}`, type: 'note.taken', data: {} }))
  const batch = () => post(`${pipeline.url}/v1/events/batch`, events, { connection: 'close' })
  await batch()
  const client = await pipeline.db.connect()
  try {
    // The same batch again must wait until it is known whether one of its events stays.
    await client.query('BEGIN')
    await client.query(
      `DELETE FROM event_ids WHERE event_id = (SELECT event_id FROM raw_events WHERE external_id = 'large 0')`,
    )
    const again = batch()
    await until('it waits', async () => {
      const waiting = await pipeline.db.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO event_ids%'`,
      )
      return waiting.rowCount !== 0
    })
    expect((await send()).status).toBe(202)
    await client.query('ROLLBACK')
    expect(await (await again).json()).toMatchObject({ duplicate: 100 })
  } finally {
    client.release(true)
  }
})

test('a connection silent for ten seconds is closed, and a trickling body is answered 408 and closed', async () => {
  const silent = dial('127.0.0.7')
  const slow = dial('127.0.0.7', HEAD)
  const trickle = setInterval(() => slow.socket.write(' '), 500)
  const answer = await slow.closed
  clearInterval(trickle)
  expect(answer).toMatch(/\nHTTP\/1\.1 408 /)
  expect(answer).toMatch('a body must arrive at 1000 bytes per second')
  expect(await silent.closed).toBe('')
})

describe('bodies that are coming in', () => {
  const body = EVENT.padEnd(20_000)
  const tenant = async (id: string) => {
    await createTenant(pipeline.db, id, 'test')
    return (await createApiKey(pipeline.db, { tenantId: id, name: id, scopes: ['ingest'] }, 'test')).key
  }
  const sendAs = (key: string) =>
    post(`${pipeline.url}/v1/events`, body, { authorization: `Bearer ${key}`, connection: 'close' })

  test('have a memory limit with a share for each tenant: one is told to come again, another one has room', async () => {
    const [greedy, modest] = [await tenant('greedy'), await tenant('modest')]
    // Three quarters of 100,000 bytes are three of these; announced bytes count before they arrive.
    const head = headOf(body.length, `Authorization: Bearer ${greedy}\r\nConnection: close\r\n`)
    const begun = many(3, '127.0.0.8', head + body.slice(0, 10_000))
    await underWay(begun)
    const refused = await sendAs(greedy)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await refused.json()).toMatchObject({ code: 'overloaded' })
    expect((await sendAs(modest)).status).toBe(202)
    for (const { socket, closed } of begun) {
      socket.write(body.slice(10_000))
      expect(await closed).toMatch(/\nHTTP\/1\.1 202 /)
    }
    expect((await sendAs(greedy)).status).toBe(202)
  })
})
