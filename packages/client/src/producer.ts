/**
 * The producer: takes events one by one, sends them in batches, keeps the order of each key.
 *
 * A key belongs to one lane. A lane has one request in flight; events that arrive meanwhile go into its next one, so
 * batches grow with the load and need no timer.
 */
import { setMaxListeners } from 'node:events'
import { crc32 } from 'node:zlib'
import { type Deliver, type Delivery, type EventText, type OutgoingEvent, type SealedEvent, seal } from './event.js'
import { openSpool } from './spool.js'
import { type LateDelivery, storeAndForward } from './store-and-forward.js'

export interface ProducerOptions {
  /** Maximum events in one request. Default 500. */
  maxBatch?: number
  /** Requests in flight at once, each with its own keys. Default 1. */
  lanes?: number
  /** Maximum events in memory; `enqueue` waits while there are that many. Default 10,000. */
  maxPending?: number
  /** Where events that cannot be sent are kept. Without it they are reported as `undelivered`. */
  spool?: {
    /** The file. Every process needs its own. */
    path: string
    /** Maximum size of the file, in bytes. Default 1 GiB. */
    maxBytes?: number
    /** Called with the outcome of each spooled event. */
    onLateDelivery?: LateDelivery
  }
}

/** An event that a producer has taken. */
export interface Queued {
  id: string
  /** Its outcome; never rejects. */
  delivery: Promise<Delivery>
}

export interface Producer {
  /**
   * Takes the event as soon as there is room for it; sending continues in the background. Await it to keep memory
   * bounded.
   * @throws {TypeError} when JSON would lose or change a value in the event
   * @throws {Error} when the producer is closed
   */
  enqueue(event: OutgoingEvent | EventText): Promise<Queued>
  /** Resolves when every event enqueued so far has its delivery; it may be `spooled`. */
  flush(): Promise<void>
  /**
   * Takes no more events, and resolves when every event has its delivery. Gives up on events that could not be sent
   * within `giveUpAfterMs` (default: as long as the client tries): they are `spooled`, or `undelivered`. The spool
   * stays for the next producer. Call it again to shorten the wait.
   */
  close(options?: { giveUpAfterMs?: number }): Promise<void>
}

interface Entry {
  event: SealedEvent
  settle: (delivery: Delivery) => void
}

interface Lane {
  queue: Entry[]
  running: boolean
}

/** Creates a producer that sends with `deliver`. @throws {Error} when the spool cannot be opened. */
export async function createProducer(deliver: Deliver, options: ProducerOptions): Promise<Producer> {
  const { maxBatch = 500, lanes: laneCount = 1, maxPending = 10_000, spool: place } = options
  const spool = place && (await openSpool(place.path, place.maxBytes ?? 2 ** 30))
  const giveUp = new AbortController()
  setMaxListeners(0, giveUp.signal) // one listener for each request in flight
  const stored = spool && storeAndForward(deliver, spool, giveUp.signal, place.onLateDelivery)
  const send = stored?.deliver ?? deliver
  const lanes = Array.from({ length: laneCount }, (): Lane => ({ queue: [], running: false }))
  const unsettled = new Set<Promise<Delivery>>()
  const waitingForRoom: (() => void)[] = []
  let pending = 0
  let closed = false
  let closing: Promise<void> | undefined

  function put(key: string, entry: Entry): void {
    const lane = lanes[crc32(key) % laneCount]!
    lane.queue.push(entry)
    if (lane.running) return
    lane.running = true
    // Events enqueued in the same turn of the event loop go into the first batch.
    setImmediate(run, lane)
  }

  async function run(lane: Lane): Promise<void> {
    while (lane.queue.length > 0) {
      const batch = lane.queue.splice(0, maxBatch)
      const deliveries = await send(
        batch.map(({ event }) => event),
        giveUp.signal,
      )
      batch.forEach(({ settle }, i) => {
        settle(deliveries[i]!)
      })
      makeRoom(batch.length)
    }
    lane.running = false
  }

  /** Gives the room of `count` finished events to the waiting `enqueue` calls, in their order. */
  function makeRoom(count: number): void {
    const next = waitingForRoom.splice(0, count)
    pending -= count - next.length
    for (const take of next) take()
  }

  async function flush(): Promise<void> {
    await Promise.all(unsettled)
  }

  async function finish(): Promise<void> {
    await flush()
    await stored?.close()
    await spool?.close()
  }

  return {
    async enqueue(event) {
      if (closed) throw new Error('the producer is closed')
      const sealed = seal(event)
      let settle!: (delivery: Delivery) => void
      const delivery = new Promise<Delivery>((resolve) => {
        settle = resolve
      })
      unsettled.add(delivery)
      void delivery.then(() => unsettled.delete(delivery))
      // A key that is not a string is sent too: the server refuses it.
      const take = () => put(String(event.partitionkey ?? sealed.id), { event: sealed, settle })
      if (pending === maxPending) {
        await new Promise<void>((taken) => waitingForRoom.push(() => taken(take())))
      } else {
        pending++
        take()
      }
      return { id: sealed.id, delivery }
    },
    flush,
    close({ giveUpAfterMs } = {}) {
      closed = true
      const timer = giveUpAfterMs === undefined ? undefined : setTimeout(() => giveUp.abort(), giveUpAfterMs)
      closing ??= finish()
      return closing.finally(() => clearTimeout(timer))
    },
  }
}
