/**
 * Accepting events: group commit. Requests that arrive while a flush is under way wait for the next one, so the batch
 * grows by itself with the load and no timer delays anybody.
 *
 * A request is *queued* → *flushing* (its events are in one INSERT) → *publishing* (committed; being added to the
 * stream, while the next flush already inserts) → *answered*. Nothing is answered as accepted before its COMMIT has
 * returned. A crash after the COMMIT and before the XADD leaves an event that only Postgres knows of; the owner of the
 * partition catches up with it.
 */
import type { Publisher } from '@eventflow/core'
import type { Db, NewEvent } from '@eventflow/db'
import type { IngestMetrics, Logger } from '@eventflow/runtime'
import { createAnnouncer } from './announce.js'
import { createFairQueue, type FairQueue } from './fair-queue.js'
import { createShares } from './shares.js'
import { createStore, type Outcome, type Receipt } from './store.js'

/** The events could not be stored now; the same request may succeed later. */
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
   * Stores events of one tenant, with so many bytes of data, and publishes them; one receipt an event, in order, once
   * all of them are durable. One that was stored before under another id is given that id. Rejects with
   * NotAcceptedError when that is not possible now: then it is unknown whether they were stored, and sending them again
   * with the same ids is safe.
   */
  accept(events: readonly NewEvent[], bytes: number): Promise<Receipt[]>
}

interface Request {
  events: readonly NewEvent[]
  answer: (receipts: Receipt[]) => void
  fail: (error: unknown) => void
}

/** One flush takes whole requests, up to about this many events: larger statements are slower again. */
const MAX_FLUSH = 1_000

/** Requests with at least this many events are flushed separately: smaller ones would wait for them. */
const LARGE_REQUEST = 100

/** A second flush at once pays when there is a full batch for it; with small requests it only makes both smaller. */
export function allowedFlushes(queuedEvents: number): number {
  return queuedEvents >= MAX_FLUSH / 2 ? 2 : 1
}

/** Requests that are stored together, and how many flushes of them are under way. */
interface Lane {
  queue: FairQueue<Request>
  flushes: number
}

const newLane = (): Lane => ({ queue: createFairQueue(({ events }) => events.length), flushes: 0 })

export function createAcceptor(deps: {
  db: Db
  publisher: Publisher
  log: Logger
  metrics: IngestMetrics
  /** Events, and bytes of their data, that may be queued or in work at once; each tenant has its share. */
  maxInFlight: number
  maxInFlightSize: number
  /** Until when events are looked for under the ids of earlier versions, too; milliseconds since 1970. */
  formerIdsUntil: number
}): Acceptor {
  const { db, publisher, log, metrics, maxInFlight, maxInFlightSize, formerIdsUntil } = deps
  const store = createStore({ db, log, formerIdsUntil })
  const [small, large] = [newLane(), newLane()]
  const announce = createAnnouncer({ db, publisher, onUnpublished: () => metrics.unpublished.inc() })
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
      // Whole requests only: a request's events keep their order because they are never split over two flushes.
      void flush(queue.take(MAX_FLUSH)).finally(() => {
        lane.flushes--
        startFlushes(lane)
      })
    }
  }

  /** Settles its requests, each way; never rejects. Returns when the next flush may begin. */
  async function flush(requests: readonly Request[]): Promise<void> {
    const events = requests.flatMap((request) => request.events)
    const startedAt = performance.now()
    try {
      const { receipts, fresh } = await store(events)
      metrics.flushSize.observe(events.length)
      const processing_time_ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000
      log.routine({ requests: requests.length, ...countReceipts(receipts), processing_time_ms }, 'events stored')
      void announce(fresh).then(
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
