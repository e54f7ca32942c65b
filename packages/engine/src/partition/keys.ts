/**
 * Who waits behind whom, in one partition.
 *
 * A key is *free*, until an event of it must be tried again: then it is *blocked*, and that event and all later ones of
 * the key wait here, in order. When the first one's time has come the key is *due*: all its events are taken out
 * together and the key is free again, until the outcome of the first says otherwise. Other keys are never held up.
 */
import { type AcceptedEvent, type Delivery, identityOf } from '@eventflow/core'

type AcceptedEventId = Pick<AcceptedEvent, 'tenantId' | 'id'>

export interface Keys {
  /**
   * Takes in what was delivered, in order, and gives what may be processed now. What belongs to a blocked key stays
   * here. A second entry of an event is merged into the first, so that both are acknowledged with it.
   */
  takeIn(deliveries: readonly Delivery[]): Delivery[]
  /**
   * Blocks the event's key until `dueAt`, with the event at its head; behind the head, if the key is blocked already.
   */
  hold(delivery: Delivery, dueAt: number): void
  /** Takes out the events of all keys that are due, each key's in order. */
  takeDue(now: number): Delivery[]
  /** Whether the event waits here. */
  holds(event: AcceptedEventId): boolean
  /** Those that wait here and have a row in `retries`. */
  inRetries(): AcceptedEvent[]
  /** Those that wait and are neither in the stream nor in `retries`: only this worker knows of them. */
  onlyHere(): Delivery[]
  /** The lowest seq of those that are in no row of `retries`; Infinity when there is none. */
  lowestSeq(): number
  /** When the next key is due; Infinity when none is blocked. */
  nextDue(): number
  /** How many events wait. */
  size(): number
  /** What their data takes, as JSON text. */
  bytes(): number
}

/**
 * `orderOf` says what order an event is kept by; events that need none have one of their own. Times are in
 * milliseconds.
 */
export function createKeys(orderOf: (delivery: Delivery) => string): Keys {
  const blocked = new Map<string, { dueAt: number; deliveries: Delivery[] }>()
  const waiting = new Map<string, Delivery>()
  let nextDue = Number.POSITIVE_INFINITY
  let bytes = 0

  function hold(delivery: Delivery, dueAt: number): void {
    waiting.set(identityOf(delivery.event), delivery)
    bytes += delivery.payload.length
    const order = orderOf(delivery)
    const key = blocked.get(order)
    if (key) {
      key.deliveries.push(delivery)
    } else {
      blocked.set(order, { dueAt, deliveries: [delivery] })
      nextDue = Math.min(nextDue, dueAt)
    }
  }

  return {
    hold,

    takeIn(deliveries) {
      const ready = new Map<string, Delivery>()
      for (const delivery of deliveries) {
        const id = identityOf(delivery.event)
        const known = waiting.get(id) ?? ready.get(id)
        if (known) known.entryIds = [...new Set([...known.entryIds, ...delivery.entryIds])]
        else if (blocked.size > 0 && blocked.has(orderOf(delivery))) hold(delivery, 0)
        else ready.set(id, delivery)
      }
      return [...ready.values()]
    },

    takeDue(now) {
      if (now < nextDue) return []
      const due: Delivery[] = []
      nextDue = Number.POSITIVE_INFINITY
      for (const [order, key] of blocked) {
        if (key.dueAt > now) {
          nextDue = Math.min(nextDue, key.dueAt)
          continue
        }
        blocked.delete(order)
        for (const delivery of key.deliveries) {
          waiting.delete(identityOf(delivery.event))
          bytes -= delivery.payload.length
          due.push(delivery)
        }
      }
      return due
    },

    holds: (event) => waiting.has(identityOf(event)),
    inRetries: () => [...waiting.values()].flatMap(({ event, inRetries }) => (inRetries ? event : [])),
    onlyHere: () => [...waiting.values()].filter(({ entryIds, inRetries }) => entryIds.length === 0 && !inRetries),
    lowestSeq() {
      let lowest = Number.POSITIVE_INFINITY
      for (const { event, inRetries } of waiting.values()) if (!inRetries) lowest = Math.min(lowest, event.seq)
      return lowest
    },
    nextDue: () => nextDue,
    size: () => waiting.size,
    bytes: () => bytes,
  }
}
