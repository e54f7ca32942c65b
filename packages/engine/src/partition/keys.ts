/**
 * The ordering keys of one partition, and the events that are blocked behind earlier ones.
 *
 * A key is *free* until an event of it needs a retry. Then it is *blocked*: that event and all later events of the key
 * stay here, in order. When the retry's time has come, the key is *due*: all its events are taken out together, and the
 * key is free again unless the first event needs another retry. Other keys are not delayed.
 */
import { type AcceptedEvent, type Delivery, identityOf } from '@eventflow/core'

type AcceptedEventId = Pick<AcceptedEvent, 'tenantId' | 'id'>

export interface Keys {
  /**
   * Takes delivered events, in order, and returns those that may be processed now. Events of a blocked key stay here. A
   * second entry of an event is merged into the first, so that both are acknowledged together.
   */
  takeIn(deliveries: readonly Delivery[]): Delivery[]
  /**
   * Blocks the event's key until `dueAt`, with this event as its head. If the key is already blocked, the event is
   * added behind the others and `dueAt` is ignored.
   */
  block(delivery: Delivery, dueAt: number): void
  /** Removes and returns the events of all keys that are due, in order within each key. */
  takeDue(now: number): Delivery[]
  /** The blocked keys, as `orderOf` gives them. */
  blocked(): string[]
  /** Whether the event is blocked here. */
  has(event: AcceptedEventId): boolean
  /** The blocked events that have a row in `retries`. */
  inRetries(): AcceptedEvent[]
  /** The blocked events that are neither in the stream nor in `retries`: only this worker knows about them. */
  onlyHere(): Delivery[]
  /** The lowest seq of the blocked events without a row in `retries`; Infinity if there is none. */
  lowestSeq(): number
  /** When the next key is due; Infinity if none is blocked. */
  nextDue(): number
  /** The number of blocked events. */
  size(): number
  /** The length of their data as JSON text. */
  bytes(): number
}

/**
 * Creates the keys of a partition. `orderOf` returns the string by which an event is ordered: unique to the event if
 * its type needs no order. `onBlock` is called with each event that is blocked. Times are in milliseconds, on any one
 * clock.
 */
export function createKeys(orderOf: (delivery: Delivery) => string, onBlock?: (delivery: Delivery) => void): Keys {
  const blocked = new Map<string, { dueAt: number; deliveries: Delivery[] }>()
  const waiting = new Map<string, Delivery>()
  let nextDue = Number.POSITIVE_INFINITY
  let bytes = 0

  function block(delivery: Delivery, dueAt: number): void {
    waiting.set(identityOf(delivery.event), delivery)
    onBlock?.(delivery)
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
    block,

    takeIn(deliveries) {
      const ready = new Map<string, Delivery>()
      for (const delivery of deliveries) {
        const id = identityOf(delivery.event)
        const known = waiting.get(id) ?? ready.get(id)
        if (known) known.entryIds = [...new Set([...known.entryIds, ...delivery.entryIds])]
        else if (blocked.size > 0 && blocked.has(orderOf(delivery))) block(delivery, 0)
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

    blocked: () => [...blocked.keys()],
    has: (event) => waiting.has(identityOf(event)),
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
