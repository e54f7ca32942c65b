/** Stores accepted events in Postgres. Each one is inserted, recognized as stored before, or refused. */
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { bisect, identityOf, type RawEvent } from '@eventflow/core'
import {
  type Acceptance,
  type Db,
  findRawEvents,
  insertRawEvents,
  type NewEvent,
  type StoredEvent,
  sqlErrorKind,
} from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { keepFormerIds } from './former-ids.js'

/**
 * The result for an event. `accepted` and `duplicate` are durable. `conflict`: another event has this id. `refused`:
 * Postgres cannot store it.
 */
export type Outcome = 'accepted' | 'duplicate' | 'conflict' | 'refused'

export interface Receipt {
  outcome: Outcome
  /** For a conflict: the source of the event that has the id, if it differs. */
  otherSource?: string
}

const RECEIPTS = {
  accepted: { outcome: 'accepted' },
  duplicate: { outcome: 'duplicate' },
  conflict: { outcome: 'conflict' },
  refused: { outcome: 'refused' },
} as const satisfies Record<Outcome, Receipt>

/** The result of inserting events. */
interface Inserted {
  accepted: Map<NewEvent, Acceptance>
  refused: Set<NewEvent>
  /** The events that were stored before, by `identityOf`. */
  stored: Map<string, StoredEvent | 'removed'>
  /** The first incarnation of the ledger that a statement has seen. */
  incarnation: number
}

/** How often an event is inserted if its id is taken but the stored event then cannot be found. */
const MAX_INSERTS = 3

/** The pause before a failed INSERT is tried once more, in milliseconds. */
const INSERT_AGAIN_MS = 50

/**
 * Inserts events and finds out which of the others are duplicates. Resolves with one receipt for each event, in order;
 * `fresh` are the events that must be announced, and `incarnation` is that of the ledger that has them. Rejects when
 * Postgres is away; storing the same events again is safe.
 */
export type Store = (events: readonly NewEvent[]) => Promise<Result>

interface Result {
  receipts: Receipt[]
  fresh: RawEvent[]
  incarnation: number
}

/**
 * Creates a Store. Until `formerIdsUntil`, in milliseconds since 1970, events are also looked up under ids from earlier
 * versions.
 */
export function createStore({ db, log, formerIdsUntil }: { db: Db; log: Logger; formerIdsUntil: number }): Store {
  async function store(events: readonly NewEvent[]): Promise<Result> {
    if (Date.now() < formerIdsUntil) await keepFormerIds(db, events)
    const unique = new Map<string, NewEvent>()
    for (const event of events) {
      const key = identityOf(event)
      if (!unique.has(key)) unique.set(key, event)
    }
    const { accepted, refused, stored, incarnation } = await insertOrFind([...unique.values()])
    const fresh: RawEvent[] = []
    for (const [event, { seq, acceptedAt }] of accepted) {
      const completion = { seq, acceptedAt, occurredAt: event.occurredAt ?? acceptedAt }
      // Faster than the spread operator.
      fresh.push(Object.assign({}, event, completion))
    }

    // The process that stored it may have died before it published it.
    for (const known of stored.values()) if (known !== 'removed' && known.undelivered) fresh.push(known.event)
    fresh.sort((a, b) => a.seq - b.seq)

    const receipts = events.map((event): Receipt => {
      if (accepted.has(event)) return RECEIPTS.accepted
      const key = identityOf(event)
      const first = unique.get(key)!
      if (refused.has(first)) return RECEIPTS.refused
      const found = stored.get(key)
      // What it was can no longer be compared.
      if (found === 'removed') return RECEIPTS.duplicate
      const known = found?.event ?? first
      if (known.source !== event.source) return { outcome: 'conflict', otherSource: known.source }
      return sameContent(event, known) ? RECEIPTS.duplicate : RECEIPTS.conflict
    })
    return { receipts, fresh, incarnation }
  }

  /**
   * Inserts each event, or refuses it, or finds it already stored. The id of an event that is neither inserted nor
   * found was forgotten in between; it is inserted again.
   */
  async function insertOrFind(events: readonly NewEvent[]): Promise<Inserted> {
    const inserted: Inserted = { accepted: new Map(), refused: new Set(), stored: new Map(), incarnation: Infinity }
    const { accepted, refused, stored } = inserted
    let open = events
    for (let round = 0; open.length > 0; round++) {
      if (round === MAX_INSERTS)
        throw new Error('events could be neither inserted nor found: their ids are removed meanwhile')
      await insert(open, inserted)
      const earlier = open.filter((event) => !accepted.has(event) && !refused.has(event))
      if (earlier.length === 0) break
      for (const [key, event] of await findRawEvents(db, earlier)) stored.set(key, event)
      open = earlier.filter((event) => !stored.has(identityOf(event)))
    }
    return inserted
  }

  /** Runs one INSERT. If Postgres refuses a value, only the events with such values are left out. */
  function insert(events: readonly NewEvent[], inserted: Inserted): Promise<void> {
    return bisect(
      events,
      async (part) => {
        const { acceptances, incarnation } = await insertWithOneRetry(part)
        for (const [event, acceptance] of acceptances) inserted.accepted.set(event, acceptance)
        inserted.incarnation = Math.min(inserted.incarnation, incarnation)
      },
      (event, error) => {
        log.warn({ err: error, event_id: event.id, event_type: event.type }, 'Postgres cannot store this event')
        inserted.refused.add(event)
      },
      (error) => sqlErrorKind(error) === 'data',
    )
  }

  /** Trying again is safe: if only the answer of the first INSERT was lost, its events are found as stored. */
  async function insertWithOneRetry(events: readonly NewEvent[]) {
    try {
      return await insertRawEvents(db, events)
    } catch (error) {
      if (sqlErrorKind(error) === 'data') throw error
      log.warn({ err: error }, 'insert failed; trying once more')
      // When connections are lost together, the pool notices it one by one: without a pause it could hand out another
      // lost one.
      await delay(INSERT_AGAIN_MS)
      return insertRawEvents(db, events)
    }
  }

  return store
}

/** Whether two events have the same type and the same data. */
export function sameContent(a: Pick<NewEvent, 'type' | 'payload'>, b: Pick<NewEvent, 'type' | 'payload'>): boolean {
  if (a.type !== b.type) return false
  return a.payload === b.payload || isDeepStrictEqual(JSON.parse(a.payload), JSON.parse(b.payload))
}
