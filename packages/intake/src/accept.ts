/**
 * Accepting events: group commit. Requests that arrive during a flush wait for the next one, so batches grow with the
 * load, without a timer that would add latency.
 *
 * A request is *queued* → *flushing* (its events are in one INSERT) → *publishing* (committed; being added to the
 * stream, while the next flush already inserts) → *answered*. A request is answered as accepted only after its COMMIT
 * has returned. A crash between the COMMIT and the XADD leaves an event that only Postgres has; the owner of its
 * partition catches up with it.
 */
import type { Publisher } from '@eventflow/core'
import type { Db, NewEvent } from '@eventflow/db'
import type { IngestMetrics, Logger } from '@eventflow/runtime'
import { createAnnouncer } from './announce.js'
import { createFairQueue, type FairQueue } from './fair-queue.js'
import { createShares } from './shares.js'
import { createStore, type Outcome, type Receipt } from './store.js'

/** The events could not be stored now. The same request may succeed later. */
export class NotAcceptedError extends Error {
  override name = 'NotAcceptedError'
  readonly code: 'overloaded' | 'unavailable'

  constructor(code: 'overloaded' | 'unavailable', options: { cause?: unknown } = {}) {
    super(code, options)
    this.code = code
  }
}

export interface Acceptor {
  /**
   * Stores the events of one tenant and publishes them. `bytes` is the size of their data. Resolves with one receipt
   * for each event, in order, once all are durable. An event that was stored earlier under another id gets that id.
   * Rejects with NotAcceptedError if the events cannot be stored now. Then it is unknown whether they were stored;
   * sending them again with the same ids is safe.
   */
  accept(events: readonly NewEvent[], bytes: number): Promise<Receipt[]>
}

interface Request {
  events: readonly NewEvent[]
  answer: (receipts: Receipt[]) => void
  fail: (error: unknown) => void
}

/** The target size of a flush, in events. A flush takes whole requests. Larger statements are slower. */
const MAX_FLUSH = 1_000

/** Requests with at least this many events are flushed separately, so that smaller ones need not wait for them. */
const LARGE_REQUEST = 100

/**
 * Returns how many flushes may run concurrently. A second one is worth it only if half a batch is queued: with few
 * events, it would only make both flushes smaller.
 */
export function allowedFlushes(queuedEvents: number): number {
  return queuedEvents >= MAX_FLUSH / 2 ? 2 : 1
}

/** The queue of small or large requests, and the number of its flushes that are running. */
interface Lane {
  queue: FairQueue<Request>
  flushes: number
}

const newLane = (): Lane => ({ queue: createFairQueue(({ events }) => events.length), flushes: 0 })

/** Creates the acceptor of an ingest process. */
export function createAcceptor(deps: {
  db: Db
  publisher: Publisher
  log: Logger
  metrics: IngestMetrics
  /** The most events, and bytes of their data, that may be queued or in work at once. Tenants share them. */
  maxInFlight: number
  maxInFlightSize: number
  /** Until then, in milliseconds since 1970, events are also looked up under ids from earlier versions. */
  formerIdsUntil: number
  /** Called with the incarnation of the ledger before events are published; see `followIncarnation`. */
  onIncarnation: (incarnation: number) => Promise<boolean>
}): Acceptor {
  const { db, publisher, onIncarnation, log, metrics, maxInFlight, maxInFlightSize, formerIdsUntil } = deps
  const store = createStore({ db, log, formerIdsUntil })
  const [small, large] = [newLane(), newLane()]
  const announce = createAnnouncer({ db, publisher, onIncarnation, onUnpublished: () => metrics.unpublished.inc() })
  const count = createShares(maxInFlight)
  const size = createShares(maxInFlightSize)

  function accept(events: readonly NewEvent[], bytes: number): Promise<Receipt[]> {
    const { tenantId } = events[0]!
    if (!count.take(tenantId, events.length))
      return Promise.reject(notAccepted(events, new NotAcceptedError('overloaded')))
    if (!size.take(tenantId, bytes)) {
      count.give(tenantId, events.length)
      return Promise.reject(notAccepted(events, new NotAcceptedError('overloaded')))
    }
    const lane = events.length < LARGE_REQUEST ? small : large
    const receipts = new Promise<Receipt[]>((answer, fail) => lane.queue.add(tenantId, { events, answer, fail }))
    startFlushes(lane)
    return receipts.finally(() => {
      count.give(tenantId, events.length)
      size.give(tenantId, bytes)
    })
  }

  function startFlushes(lane: Lane): void {
    const { queue } = lane
    while (queue.size() > 0 && lane.flushes < allowedFlushes(queue.size())) {
      lane.flushes++
      // A request is never split over two flushes, so its events keep their order.
      void flush(queue.take(MAX_FLUSH)).finally(() => {
        lane.flushes--
        startFlushes(lane)
      })
    }
  }

  /** Stores the events of the requests and answers each. Never rejects. Resolves when the next flush may begin. */
  async function flush(requests: readonly Request[]): Promise<void> {
    const events = requests.flatMap((request) => request.events)
    const startedAt = performance.now()
    try {
      const { receipts, fresh, incarnation } = await store(events)
      metrics.flushSize.observe(events.length)
      const processing_time_ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000
      log.routine({ requests: requests.length, ...countReceipts(receipts), processing_time_ms }, 'events stored')
      void announce(fresh, incarnation).then(
        () => answerAll(requests, receipts),
        (error) => failAll(requests, error),
      )
    } catch (error) {
      failAll(requests, error)
    }
  }

  function failAll(requests: readonly Request[], cause: unknown): void {
    for (const { events, fail } of requests) fail(notAccepted(events, new NotAcceptedError('unavailable', { cause })))
  }

  function notAccepted(events: readonly NewEvent[], error: NotAcceptedError): NotAcceptedError {
    for (const { type } of events) metrics.eventsReceived.inc({ type: metrics.typeOf(type), outcome: error.code })
    return error
  }

  return { accept }
}

function answerAll(requests: readonly Request[], receipts: readonly Receipt[]): void {
  let from = 0
  for (const { events, answer } of requests) {
    answer(receipts.slice(from, from + events.length))
    from += events.length
  }
}

function countReceipts(receipts: readonly Receipt[]): Record<Outcome, number> {
  const counts = { accepted: 0, duplicate: 0, conflict: 0, refused: 0 }
  for (const { outcome } of receipts) counts[outcome]++
  return counts
}
