/** The producer: batches, order, bounds, and the spool behind it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type Client, createClient } from './client.js'
import type { OutgoingEvent } from './event.js'
import type { Producer, ProducerOptions } from './producer.js'
import type { LateDelivery } from './store-and-forward.js'
import { answer, refuse, startServer, type TestServer } from './test-server.js'

let server: TestServer
let client: Client
let folder: string
let opened: Producer[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-producer-'))
  server = await startServer()
  client = createClient({ url: server.url, baseDelayMs: 1 })
  opened = []
})

afterEach(async () => {
  server.fault = answer
  for (const producer of opened) await producer.close()
  await client.close()
  await server.close()
  await rm(folder, { recursive: true })
})

test('events that arrive during a request go into the next one', async () => {
  const producer = await open({ maxBatch: 50 })
  const held = holdNextRequest()
  await producer.enqueue(order('a', 0))
  await held.arrived
  for (let n = 1; n <= 120; n++) await producer.enqueue(order('a', n))
  held.release()
  await producer.close()
  expect(server.requests.map(({ events }) => events.length)).toEqual([1, 50, 50, 20])
  expect(server.requests[0]!.url).toBe('/v1/events')
  expect(numbersOf('a')).toEqual(Array.from({ length: 121 }, (_, n) => n))
})

test('the outcome of every event is reported', async () => {
  const producer = await open()
  server.faults.push(refuse(422), refuse(422, { title: 'The event is not valid' }))
  const { delivery: bad } = await producer.enqueue({ ...order('a', 0), id: 'bad' })
  expect(await bad).toMatchObject({ id: 'bad', status: 'rejected', error: { problem: { status: 422 } } })
  await expect(producer.enqueue({ ...order('a', 1), data: { n: 1n } })).rejects.toThrow(TypeError)
  server.faults.length = 0
  const { delivery } = await producer.enqueue({ ...order('a', 2), id: 'good' })
  expect(await delivery).toEqual({ id: 'good', status: 'accepted' })
  await producer.close()
  await expect(producer.enqueue(order('a', 3))).rejects.toThrow('the producer is closed')
})

test('lanes: several requests at once, each key in order, with and without retries', async () => {
  const producer = await open({ lanes: 4, maxBatch: 7 })
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const held = holdNextRequest()
  for (let n = 0; n < 100; n++) for (const key of keys) await producer.enqueue(order(key, n))
  await held.arrived
  held.release()
  server.faults.push(refuse(503), refuse(429))
  await producer.close()
  for (const key of keys) expect(numbersOf(key)).toEqual(Array.from({ length: 100 }, (_, n) => n))
})

test('memory is bounded: enqueue waits for room, in order', async () => {
  const producer = await open({ maxPending: 10 })
  const held = holdNextRequest()
  const enqueued: number[] = []
  const all = Array.from({ length: 25 }, async (_, n) => {
    await producer.enqueue(order('a', n))
    enqueued.push(n)
  })
  await held.arrived
  expect(enqueued).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  held.release()
  await Promise.all(all)
  await producer.close()
  expect(Math.max(...server.requests.map(({ events }) => events.length))).toBe(10)
  expect(numbersOf('a')).toEqual(Array.from({ length: 25 }, (_, n) => n))
})

test('without a spool, an event that cannot be sent is undelivered', async () => {
  giveUpQuickly()
  await server.close()
  const producer = await open()
  const { delivery } = await producer.enqueue(order('a', 0))
  expect(await delivery).toMatchObject({ status: 'undelivered', error: { cause: { code: 'ECONNREFUSED' } } })
  await producer.close()
  server = await startServer()
})

test('closing in a hurry spools at once what the server does not accept in time', async () => {
  server.fault = refuse(503, {}, '3600')
  const producer = await open({ lanes: 2, maxBatch: 3, spool: { path: spoolPath() } })
  const held = holdNextRequest()
  const statuses = produce(producer, 0, 20)
  await held.arrived
  void producer.close()
  await producer.close({ giveUpAfterMs: 0 })
  held.release()
  expect(await statuses).toEqual(Array(20).fill('spooled'))

  server.fault = answer
  expect(await drainSpool(spoolPath(), 20)).toHaveLength(20)
  for (const key of KEYS) expect(numbersOf(key)).toEqual(inOrder(numbersOf(key)))
})

test('events are spooled while the server is down, and sent in order, before newer ones, when it is back', async () => {
  giveUpQuickly()
  const { port } = server
  await server.close()
  const drain = awaitLate(40)
  const producer = await open({
    lanes: 3,
    spool: { path: spoolPath(), onLateDelivery: drain.onLateDelivery },
  })
  expect(await produce(producer, 0, 40)).toEqual(Array(40).fill('spooled'))

  server = await startServer(port)
  expect(await drain.told).toEqual(Array.from({ length: 40 }, (_, n) => `${n} accepted`))
  expect(await produce(producer, 40, 60)).toEqual(Array(20).fill('accepted'))
  await producer.close()
  expect(server.stored).toHaveLength(60)
  for (const key of KEYS) expect(numbersOf(key)).toEqual(inOrder(numbersOf(key)))
})

test('an event enqueued while an earlier spool is being sent stays behind it', async () => {
  giveUpQuickly()
  const path = spoolPath()
  server.fault = refuse(503)
  const earlier = await open({ spool: { path } })
  await produce(earlier, 0, 10)
  await earlier.close()

  server.fault = answer
  const held = holdNextRequest()
  const { onLateDelivery, told } = awaitLate(20)
  const producer = await open({ spool: { path, onLateDelivery } })
  await held.arrived
  const statuses = produce(producer, 10, 20)
  held.release()
  expect(await statuses).toEqual(Array(10).fill('spooled'))
  await told
  expect(server.stored.map(numberOf)).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

test('a refused client loses no event: they are spooled until the server accepts the client again', async () => {
  const path = spoolPath()
  server.fault = refuse(401)
  const shutOut = await open({ spool: { path } })
  expect(await produce(shutOut, 0, 10)).toEqual(Array(10).fill('spooled'))
  await shutOut.close()
  expect(server.stored).toHaveLength(0)

  server.fault = answer
  await drainSpool(path, 10)
  expect(server.stored).toHaveLength(10)
})

test('an event rejected from the spool is reported, and does not hold up the others', async () => {
  giveUpQuickly()
  const path = spoolPath()
  server.fault = refuse(503)
  const producer = await open({ spool: { path } })
  await produce(producer, 0, 5)
  await producer.close()

  server.fault = (request, ...rest) =>
    (request.events.some((event) => numberOf(event) === 2) ? refuse(422) : answer)(request, ...rest)
  expect(await drainSpool(path, 5)).toEqual(['0 accepted', '1 accepted', '2 rejected', '3 accepted', '4 accepted'])
})

test('SIGKILL: events reported as accepted are on the server; those reported as spooled arrive later, in order', async () => {
  const path = spoolPath()
  const reports = await produceUntilKilled(path)
  const accepted = reports.filter(({ status }) => status === 'accepted').map(({ n }) => n)
  const spooled = reports.filter(({ status }) => status === 'spooled').map(({ n }) => n)
  expect([accepted.length > 0, spooled.length > 0]).toEqual([true, true])
  expect(server.stored.map(numberOf)).toEqual(expect.arrayContaining(accepted))

  server.fault = answer
  await drainSpool(path, spooled.length)
  const stored = server.stored.map(numberOf)
  expect(stored).toEqual(expect.arrayContaining(spooled))
  expect(stored).toEqual(inOrder(stored))
})

/** Makes the client give up quickly, for tests with a server that is down. */
function giveUpQuickly(): void {
  client = createClient({ url: server.url, baseDelayMs: 1, giveUpAfterMs: 20 })
}

/** A producer that is closed after the test. */
async function open(options?: ProducerOptions): Promise<Producer> {
  const producer = await client.producer(options)
  opened.push(producer)
  return producer
}

const KEYS = ['a', 'b', 'c', 'd']

/** Enqueues events `from` to `to`, cycling through the keys; returns their statuses. */
async function produce(producer: Producer, from: number, to: number): Promise<string[]> {
  const queued = []
  for (let n = from; n < to; n++) queued.push(await producer.enqueue(order(KEYS[n % KEYS.length]!, n)))
  return (await Promise.all(queued.map(({ delivery }) => delivery))).map(({ status }) => status)
}

/** Sends what is in the spool until `count` outcomes were reported; returns them by number. */
async function drainSpool(path: string, count: number): Promise<string[]> {
  const { onLateDelivery, told } = awaitLate(count)
  const producer = await open({ spool: { path, onLateDelivery } })
  const deliveries = await told
  await producer.close()
  return deliveries
}

/** Resolves with the outcomes of `count` spooled events, by number, when all were reported. */
function awaitLate(count: number): { onLateDelivery: LateDelivery; told: Promise<string[]> } {
  const late: [number, string][] = []
  let onLateDelivery!: LateDelivery
  const told = new Promise<string[]>((resolve) => {
    onLateDelivery = ({ status }, event) => {
      late.push([numberOf(event), status])
      if (late.length === count) resolve(late.sort(([a], [b]) => a - b).map((entry) => entry.join(' ')))
    }
  })
  return { onLateDelivery, told }
}

/**
 * Runs a producer in another process while the server accepts two requests and then none, and kills it after ten
 * spooled events.
 */
async function produceUntilKilled(path: string): Promise<{ n: number; status: string }[]> {
  server.faults.push(answer, answer)
  server.fault = refuse(503)
  const code = `
    import { writeSync } from 'node:fs'
    import { createClient } from ${JSON.stringify(new URL('./client.js', import.meta.url).href)}
    const client = createClient({ url: '${server.url}', giveUpAfterMs: 5 })
    const producer = await client.producer({ maxBatch: 3, maxPending: 6, spool: { path: ${JSON.stringify(path)} } })
    for (let n = 0; ; n++) {
      const { delivery } = await producer.enqueue({ type: 'order.created', partitionkey: 'a', data: { n } })
      delivery.then(({ status }) => writeSync(1, JSON.stringify({ n, status }) + '\\n'))
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const reports: { n: number; status: string }[] = []
  for await (const line of createInterface(child.stdout)) {
    reports.push(JSON.parse(line))
    if (reports.filter(({ status }) => status === 'spooled').length === 10) child.kill('SIGKILL')
  }
  expect(await exited).toEqual([null, 'SIGKILL'])
  return reports
}

/** Holds the next request until `release`, then answers it as usual. */
function holdNextRequest(): { arrived: Promise<void>; release: () => void } {
  let release!: () => void
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const arrived = new Promise<void>((resolve) => {
    server.faults.push(async (...request) => {
      resolve()
      await released
      answer(...request)
    })
  })
  return { arrived, release }
}

function order(key: string, n: number): OutgoingEvent {
  return { type: 'order.created', partitionkey: key, data: { n } }
}

function numberOf({ data }: OutgoingEvent): number {
  return data.n as number
}

function numbersOf(key: string): number[] {
  return server.stored.filter(({ partitionkey }) => partitionkey === key).map(numberOf)
}

function inOrder(numbers: number[]): number[] {
  return numbers.toSorted((a, b) => a - b)
}

function spoolPath(): string {
  return join(folder, 'events.spool')
}
