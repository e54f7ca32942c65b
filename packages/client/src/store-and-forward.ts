/**
 * Delivery with a spool behind it: what cannot be sent is stored on disk and sent later, in order.
 *
 *            a batch is undelivered            the spool's head is delivered
 *     up ──────────────────────────────▶ down ──────────────────────────────▶ recovering
 *      ▲                                  ▲     the spool's head is undelivered   │ │
 *      │                                  └───────────────────────────────────────┘ │
 *      └─────────────────────────── nothing waits in the spool ─────────────────────┘
 *
 * - up: batches go to the server.
 * - down: batches go to the end of the spool, whose head is tried again and again. An earlier process's spool starts
 *   here.
 * - recovering: batches wait until the spool is empty, so that it does become empty.
 *
 * Order of a key: its events come one batch after the other, and a batch is only sent while nothing waits in the spool.
 */
import { type Deliver, type Delivery, type OutgoingEvent, type SealedEvent, unseal } from './event.js'
import { DEFAULT_RETRY_POLICY, nextDelayMs, slept } from './retry.js'
import type { Spool } from './spool.js'

/** The outcome of an event that had been reported as `spooled`. After a crash it may be reported again. */
export type LateDelivery = (delivery: Delivery, event: OutgoingEvent) => void

export interface StoreAndForward {
  deliver: Deliver
  /** Stops sending from the spool; its events stay there. */
  close(): Promise<void>
}

/** Events of the spool sent in one request. */
const HEAD_EVENTS = 500

/**
 * Puts `spool` behind `deliver`. A batch of a key must be delivered before the next batch of that key is given. Once
 * `giveUp` is aborted, every event that is not delivered yet is stored.
 */
export function storeAndForward(
  deliver: Deliver,
  spool: Spool,
  giveUp: AbortSignal,
  onLateDelivery?: LateDelivery,
): StoreAndForward {
  const stop = new AbortController()
  const waiters: (() => void)[] = []
  let state: 'up' | 'down' | 'recovering' = 'up'
  let forwarding: Promise<void> | undefined

  function enter(next: typeof state): void {
    const before = state
    state = next
    if (before === 'up' && next === 'down') forwarding = forward()
    if (before !== next) for (const wake of waiters.splice(0)) wake()
  }

  async function sendOrStore(batch: SealedEvent[], signal?: AbortSignal): Promise<Delivery[]> {
    while (state === 'recovering') await new Promise<void>((wake) => waiters.push(wake))
    if (state === 'down') return store(batch)
    const deliveries = await deliver(batch, signal)
    const left = batch.filter((_, i) => deliveries[i]!.status === 'undelivered')
    if (left.length === 0) return deliveries
    const storing = store(left)
    enter('down')
    const stored = (await storing).values()
    return deliveries.map((delivery) => (delivery.status === 'undelivered' ? stored.next().value! : delivery))
  }

  async function store(batch: SealedEvent[]): Promise<Delivery[]> {
    try {
      await spool.append(batch)
      return batch.map(({ id }) => ({ status: 'spooled', id }))
    } catch (cause) {
      const error = new Error('the event could neither be sent nor spooled', { cause })
      return batch.map(({ id }) => ({ status: 'undelivered', id, error }))
    }
  }

  /**
   * Sends from the head of the spool until it is empty. A crash before `advance` can only repeat events, not lose them.
   */
  async function forward(): Promise<void> {
    let failures = 0
    while (spool.waiting > 0 && !stop.signal.aborted) {
      const head = await spool.head(HEAD_EVENTS)
      if (head.events.length === 0) continue // the append that was counted as waiting has failed
      const deliveries = await deliver(head.events, stop.signal)
      if (deliveries.some(({ status }) => status === 'undelivered')) {
        enter('down')
        await slept(pauseMs(++failures), stop.signal)
      } else {
        failures = 0
        // Before the callbacks: a caller that learns that the server is back may send the next event at once.
        enter('recovering')
        deliveries.forEach((delivery, i) => {
          onLateDelivery?.(delivery, unseal(head.events[i]!.json))
        })
        await spool.advance(head)
      }
    }
    enter(spool.waiting === 0 ? 'up' : 'down')
  }

  giveUp.addEventListener('abort', () => stop.abort())
  if (spool.waiting > 0) enter('down')
  return {
    deliver: sendOrStore,
    async close() {
      stop.abort()
      await forwarding
    },
  }
}

/** The pause after the spool's head was undelivered `failures` times in a row, in milliseconds. */
function pauseMs(failures: number): number {
  const tried = { failures, elapsedMs: 0, retryAfterMs: 0 }
  return nextDelayMs(tried, { ...DEFAULT_RETRY_POLICY, giveUpAfterMs: Number.POSITIVE_INFINITY }, Math.random())!
}
