/** The states of store and forward, with a server whose answers and their times the test decides. */
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Deliver, Delivery, SealedEvent } from './event.js'
import { EventRejected } from './failure.js'
import { openSpool, type Spool } from './spool.js'
import { storeAndForward } from './store-and-forward.js'

let folder: string
let spool: Spool
let giveUp: AbortController

beforeEach(async () => {
  giveUp = new AbortController()
  folder = await mkdtemp(join(tmpdir(), 'eventflow-forward-'))
  spool = await openSpool(join(folder, 'events.spool'), 1 << 20)
})

afterEach(async () => {
  await spool.close()
  await rm(folder, { recursive: true })
})

test('up: straight to the server', async () => {
  const server = controlledServer()
  const { deliver, close } = storeAndForward(server.deliver, spool, giveUp.signal)
  const delivering = deliver(events(0, 3))
  await server.answer('accepted')
  expect(statuses(await delivering)).toEqual(['accepted', 'accepted', 'accepted'])
  expect(spool.waiting).toBe(0)
  await close()
})

test('up → down: only undelivered events are stored; later batches follow them into the spool', async () => {
  const server = controlledServer()
  const { deliver, close } = storeAndForward(server.deliver, spool, giveUp.signal)
  const delivering = deliver(events(0, 3))
  await server.answer('accepted', 'undelivered', 'rejected')
  expect(statuses(await delivering)).toEqual(['accepted', 'spooled', 'rejected'])
  expect(statuses(await deliver(events(3, 4)))).toEqual(['spooled'])
  expect((await spool.head(9)).events).toEqual([...events(1, 2), ...events(3, 4)])
  await close()
})

test('down → recovering → up: newer batches wait for the spool to empty, then go straight to the server', async () => {
  await spool.append(events(0, 600))
  const server = controlledServer()
  const told: number[] = []
  const { deliver, close } = storeAndForward(server.deliver, spool, giveUp.signal, ({ id }) => told.push(Number(id)))
  expect(await server.answer('accepted')).toEqual(events(0, 500))
  await server.asked()
  const delivering = deliver(events(600, 601))
  expect(server.asking()).toBe(1)
  expect(await server.answer('accepted')).toEqual(events(500, 600))
  expect(await server.answer('accepted')).toEqual(events(600, 601))
  expect(statuses(await delivering)).toEqual(['accepted'])
  expect(told).toEqual(Array.from({ length: 600 }, (_, n) => n))
  await close()
})

test('recovering → down: waiting batches are stored at the end of the spool', async () => {
  await spool.append(events(0, 600))
  const server = controlledServer()
  const { deliver, close } = storeAndForward(server.deliver, spool, giveUp.signal)
  await server.answer('accepted')
  await server.asked()
  const delivering = deliver(events(600, 601))
  await server.answer('undelivered')
  expect(statuses(await delivering)).toEqual(['spooled'])
  expect((await spool.head(999)).events).toEqual(events(500, 601))
  await close()
})

test('giving up: batches in flight and batches that wait for the spool are stored', async () => {
  await spool.append(events(0, 600))
  const server = controlledServer()
  const { deliver, close } = storeAndForward(server.deliver, spool, giveUp.signal)
  await server.answer('accepted')
  await server.asked()
  const delivering = deliver(events(600, 601), giveUp.signal)
  giveUp.abort()
  expect(statuses(await delivering)).toEqual(['spooled'])
  await close()
  expect((await spool.head(999)).events).toEqual(events(500, 601))
})

test('a full spool: the event is undelivered, and the next one is tried on the server again', async () => {
  const full = await openSpool(join(folder, 'full.spool'), 10)
  const server = controlledServer()
  const { deliver, close } = storeAndForward(server.deliver, full, giveUp.signal)
  const delivering = deliver(events(0, 1))
  await server.answer('undelivered')
  expect(await delivering).toMatchObject([{ status: 'undelivered', error: { cause: { message: /full/ } } }])
  await full.head(1) // runs after `forward` has found the spool empty
  const next = deliver(events(1, 2))
  await server.answer('accepted')
  expect(statuses(await next)).toEqual(['accepted'])
  await close()
  await full.close()
})

/**
 * A server that holds every request until `answer` completes the oldest one, with these statuses for its events in
 * order.
 */
function controlledServer() {
  const open: { batch: SealedEvent[]; end: (statuses: Status[]) => void }[] = []
  const arrivals = new EventEmitter()
  const deliver: Deliver = (batch, signal) =>
    new Promise((resolve) => {
      const end = (ends: Status[]) => resolve(batch.map(({ id }, i) => delivery(id, ends[i % ends.length]!)))
      if (signal?.aborted) return end(['undelivered'])
      signal?.addEventListener('abort', () => end(['undelivered']))
      open.push({ batch, end })
      arrivals.emit('request')
    })
  const asked = async () => {
    if (open.length === 0) await once(arrivals, 'request')
  }
  return {
    deliver,
    asked,
    asking: () => open.length,
    async answer(...ends: Status[]): Promise<SealedEvent[]> {
      await asked()
      const { batch, end } = open.shift()!
      end(ends)
      return batch
    },
  }
}

type Status = 'accepted' | 'rejected' | 'undelivered'

function delivery(id: string, status: Status): Delivery {
  if (status === 'accepted') return { status, id }
  if (status === 'rejected') return { status, id, error: new EventRejected({ status: 422 }) }
  return { status, id, error: new Error('away') }
}

function statuses(deliveries: Delivery[]): string[] {
  return deliveries.map(({ status }) => status)
}

function events(from: number, to: number): SealedEvent[] {
  return Array.from({ length: to - from }, (_, i) => ({
    id: `${from + i}`,
    json: JSON.stringify({ id: `${from + i}` }),
  }))
}
