/**
 * Accepting events: group commit. Requests that arrive while a flush is under way wait for the next one, so the batch
 * grows by itself with the load and no timer delays anybody.
 *
 * A request is *queued* → *flushing* (its events are in one INSERT) → *publishing* (committed; being added to the stream,
 * while the next flush already inserts) → *answered*. Nothing is answered as accepted before its COMMIT has returned.
 * A crash after the COMMIT and before the XADD leaves an event that only Postgres knows of; the owner of the partition
 * catches up with it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { bisect, identityOf, type RawEvent } from '@eventflow/core'
import {
  type Acceptance,
  type Db,
  findRawEvents,
  insertRawEvents,
  markDirty,
  type NewEvent,
  type StoredEvent,
  sqlErrorKind,
} from '@eventflow/db'
import type { Publisher } from '@eventflow/redis'
import type { IngestMetrics, Logger } from '@eventflow/runtime'
import { createFairQueue, type FairQueue } from './fair-queue.js'
import { keepFormerIds } from './former-ids.js'
import { createShares } from './shares.js'

/**
 * What became of an event: `accepted` and `duplicate` are durable; `conflict`: another event has this id;
 * `refused`: Postgres cannot store it.
 */
export type Outcome = 'accepted' | 'duplicate' | 'conflict' | 'refused'

export interface Receipt {
  outcome: Outcome
  /** Of a conflict: the source of the event that has the id, where that is another one. */
  otherSource?: string
}

const RECEIPTS = {
  accepted: { outcome: 'accepted' },
  duplicate: { outcome: 'duplicate' },
  conflict: { outcome: 'conflict' },
  refused: { outcome: 'refused' },
} as const satisfies Record<Outcome, Receipt>

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
   * Stores events of one tenant, with so many bytes of data, and publishes them; one receipt an event, in order, once all of
   * them are durable. One that was stored before under another id is given that id.
   * Rejects with NotAcceptedError when that is not possible now: then it is unknown whether they were stored, and sending
   * them again with the same ids is safe.
   */
  accept(events: readonly NewEvent[], bytes: number): Promise<Receipt[]>
}

interface Request {
  events: readonly NewEvent[]
  answer: (receipts: Receipt[]) => void
  fail: (error: unknown) => void
}

/** What came of inserting events. */
interface Inserted {
  accepted: Map<NewEvent, Acceptance>
  refused: Set<NewEvent>
  /** Those that were there before, by `identityOf`. */
  stored: Map<string, StoredEvent>
}

/** One flush takes whole requests, up to about this many events: larger statements are slower again. */
const MAX_FLUSH = 1_000

/** So often an event is inserted whose id is taken, and then is not there any more. */
const MAX_INSERTS = 3

/** How long after a failed INSERT the same is tried again, in milliseconds. */
const INSERT_AGAIN_MS = 50

/** Requests with at least so many events are flushed apart from smaller ones, which would wait for them. */
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
  const [small, large] = [newLane(), newLane()]
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
      void publishAll(fresh).then(
        () => answerAll(requests, receipts),
        (error) => failAll(requests, error),
      )
    } catch (error) {
      failAll(requests, error)
    }
  }

  /** Inserts events, and sorts out which of the rest are duplicates. `fresh` is what must be in the stream. */
  async function store(events: readonly NewEvent[]): Promise<{ receipts: Receipt[]; fresh: RawEvent[] }> {
    if (Date.now() < formerIdsUntil) await keepFormerIds(db, events)
    const unique = new Map<string, NewEvent>()
    for (const event of events) {
      const key = identityOf(event)
      if (!unique.has(key)) unique.set(key, event)
    }
    const { accepted, refused, stored } = await insertOrFind([...unique.values()])
    const fresh: RawEvent[] = []
    for (const [event, { seq, acceptedAt }] of accepted) {
      const completion = { seq, acceptedAt, occurredAt: event.occurredAt ?? acceptedAt }
      // Spreading them into one literal is some ten times slower.
      fresh.push(Object.assign({}, event, completion))
    }

    // Its first XADD may never have happened.
    for (const { event, undelivered } of stored.values()) if (undelivered) fresh.push(event)
    fresh.sort((a, b) => a.seq - b.seq)

    const receipts = events.map((event): Receipt => {
      if (accepted.has(event)) return RECEIPTS.accepted
      const key = identityOf(event)
      const first = unique.get(key)!
      if (refused.has(first)) return RECEIPTS.refused
      const known = stored.get(key)?.event ?? first
      if (known.source !== event.source) return { outcome: 'conflict', otherSource: known.source }
      return sameContent(event, known) ? RECEIPTS.duplicate : RECEIPTS.conflict
    })
    return { receipts, fresh }
  }

  /**
   * Each event is inserted, or refused, or found to be stored. One that is neither inserted nor found was removed by retention in
   * between: it is inserted again, since nothing of it is stored.
   */
  async function insertOrFind(events: readonly NewEvent[]): Promise<Inserted> {
    const inserted: Inserted = { accepted: new Map(), refused: new Set(), stored: new Map() }
    const { accepted, refused, stored } = inserted
    let open = events
    for (let round = 0; open.length > 0; round++) {
      if (round === MAX_INSERTS)
        throw new Error('events were neither inserted nor found: their ids are removed as fast')
      await insert(open, inserted)
      const earlier = open.filter((event) => !accepted.has(event) && !refused.has(event))
      if (earlier.length === 0) break
      for (const [key, event] of await findRawEvents(db, earlier)) stored.set(key, event)
      open = earlier.filter((event) => !stored.has(identityOf(event)))
    }
    return inserted
  }

  /** One INSERT; where Postgres refuses a value, only the events that hold such values are left out. */
  function insert(events: readonly NewEvent[], { accepted, refused }: Inserted): Promise<void> {
    return bisect(
      events,
      async (part) => {
        for (const [event, acceptance] of await insertWithOneRetry(part)) accepted.set(event, acceptance)
      },
      (event, error) => {
        log.warn({ err: error, event_id: event.id, event_type: event.type }, 'Postgres cannot store this event')
        refused.add(event)
      },
      (error) => sqlErrorKind(error) === 'data',
    )
  }

  /** Running it again is safe: what the first run inserted, if its answer was lost, is found to be there. */
  async function insertWithOneRetry(events: readonly NewEvent[]) {
    try {
      return await insertRawEvents(db, events)
    } catch (error) {
      if (sqlErrorKind(error) === 'data') throw error
      log.warn({ err: error }, 'insert failed; once more')
      // Connections that are lost together are noticed one after the other: at once, the pool could give the next lost one.
      await delay(INSERT_AGAIN_MS)
      return insertRawEvents(db, events)
    }
  }

  /** Marks partitions before anybody is answered: whoever sends the next event of a key must find the mark made. */
  async function publishAll(events: readonly RawEvent[]): Promise<void> {
    if (events.length === 0) return
    const unpublished = await publisher.publish(events)
    if (unpublished.size === 0) return
    metrics.unpublished.inc()
    await markDirty(db, [...unpublished])
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

function sameContent(a: Pick<NewEvent, 'type' | 'payload'>, b: Pick<NewEvent, 'type' | 'payload'>): boolean {
  if (a.type !== b.type) return false
  return a.payload === b.payload || isDeepStrictEqual(JSON.parse(a.payload), JSON.parse(b.payload))
}
