/** Clients that send events at a fixed rate with the statements of the earlier version or of this one. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  connect,
  type Db,
  findRawEvents,
  forgetFigures,
  INGEST_APPLICATION,
  insertProcessed,
  insertRawEvents,
  type NewEvent,
  tellFigures,
  WORKER_APPLICATION,
} from '@eventflow/db'
import { findAsBeforeParts, insertAsBeforeParts, newEvent, processedOf, settleAsBeforeParts } from '@eventflow/testkit'

/** Events of a request. One of them was accepted a short time ago, one is among the events from before the trial. */
const BATCH = 50

/** How long ingest pauses before it tries an INSERT again, in milliseconds. */
const AGAIN_MS = 50

/** What the clients have seen. */
export interface Seen {
  /** The accepted events, by id. */
  accepted: Map<string, Sent>
  /** Ids that were accepted although they had been before. */
  twice: string[]
  /** The errors of requests that failed twice, which ingest answers with 503. */
  refused: string[]
  /** How long requests took from the time for which they were planned, in milliseconds, by phase. */
  took: Map<string, number[]>
  /** How many events were settled. */
  settled: number
  /** Errors of settling; the batch is settled again. */
  settlingErrors: string[]
}

type Sent = NewEvent & { seq: number }

/** How a version accepts and settles. */
interface Version {
  /** Resolves with the new ones, with their seqs. Rejects if one is neither accepted nor found. */
  accept(db: Db, events: readonly NewEvent[]): Promise<Sent[]>
  /** Resolves with the number of events that were not settled before. */
  settle(db: Db, events: readonly Sent[]): Promise<number>
  tells: boolean
}

const LEASE = (partition: number) => ({ partition, epoch: 0, dirty: null })

export const EARLIER: Version = {
  async accept(db, events) {
    const seqs = await insertAsBeforeParts(db, events)
    const found = new Map((await findAsBeforeParts(db, events)).map(({ id, seq }) => [id, seq]))
    if (found.size < events.length) throw new Error('an event was neither accepted nor found')
    return events.map((event) => ({ ...event, seq: found.get(event.id)! })).filter(({ seq }) => seqs.includes(seq))
  },
  async settle(db, events) {
    return (await settleAsBeforeParts(db, events, LEASE(events[0]!.partition))).length
  },
  tells: false,
}

export const PRESENT: Version = {
  async accept(db, events) {
    const { acceptances } = await insertRawEvents(db, events)
    const known = await findRawEvents(db, events)
    if (known.size < events.length) throw new Error('an event was neither accepted nor found')
    return [...acceptances].map(([event, { seq }]) => ({ ...event, seq }))
  },
  async settle(db, events) {
    const now = new Date().toISOString()
    const processed = events.map((event) => processedOf({ ...event, acceptedAt: now, occurredAt: now, data: {} }))
    const by = { workerId: 'present', processingMs: 1 }
    return (await insertProcessed(db, processed, [LEASE(events[0]!.partition)], by)).inserted.size
  },
  tells: true,
}

/** A client and its worker. */
export interface Client {
  /** Stops when all requests are answered and all accepted events are settled. */
  stop(): Promise<void>
}

/** Sends `rate` events a second. `former`: ids of events from before the trial, which must be duplicates. */
export function startClient(
  url: string,
  { accept, settle, tells }: Version,
  { rate, former, seen, phase }: { rate: number; former: readonly string[]; seen: Seen; phase: () => string },
): Client {
  const open = (applicationName: string, max: number) => connect({ url, applicationName, max, onIdleError: () => {} })
  const [ingest, worker] = [open(INGEST_APPLICATION, 6), open(WORKER_APPLICATION, 2)]
  const name = `ingest-${randomUUID()}`
  const running = new Set<Promise<void>>()
  let stopped = false
  let requests = 0

  async function request(planned: number): Promise<void> {
    const partition = requests++ % 16
    const events = Array.from({ length: BATCH - 2 }, () => newEvent({ partition, type: 'order.placed' }))
    const known = [former[Math.floor(Math.random() * former.length)], [...lastAccepted].at(0)]
    for (const id of known) if (id !== undefined) events.push(newEvent({ id, partition, type: 'order.placed' }))
    const during = phase()
    try {
      const accepted = await accept(ingest, events).catch(() => delay(AGAIN_MS).then(() => accept(ingest, events)))
      for (const event of accepted) {
        if (seen.accepted.has(event.id) || former.includes(event.id)) seen.twice.push(event.id)
        seen.accepted.set(event.id, event)
      }
      remember(accepted)
      note(seen, during, performance.now() - planned)
      if (accepted.length > 0) await settleUntilDone(accepted)
    } catch (error) {
      seen.refused.push(`${during}: ${(error as Error).message}`)
    }
  }

  const lastAccepted = new Set<string>()
  function remember(accepted: readonly Sent[]): void {
    lastAccepted.clear()
    if (accepted[0]) lastAccepted.add(accepted[0].id)
  }

  async function settleUntilDone(events: readonly Sent[]): Promise<void> {
    for (;;) {
      try {
        const settled = await settle(worker, events)
        seen.settled += settled
        return
      } catch (error) {
        seen.settlingErrors.push((error as Error).message)
        await delay(AGAIN_MS)
      }
    }
  }

  async function send(): Promise<void> {
    const every = (BATCH / rate) * 1_000
    for (let planned = performance.now(); !stopped; planned += every) {
      await delay(Math.max(0, planned - performance.now()))
      const running_ = request(planned).finally(() => running.delete(running_))
      running.add(running_)
    }
  }

  async function tell(): Promise<void> {
    while (tells && !stopped) {
      await tellFigures(worker, {
        ...{ process: name, service: 'ingest', run: name, lastAt: 0, circuits: {}, counts: {} },
        latency: { bounds: [], counts: [] },
      }).catch(() => {})
      await delay(1_000)
    }
  }

  const working = Promise.all([send(), tell()])
  return {
    async stop() {
      stopped = true
      await working
      await Promise.all(running)
      if (tells) await forgetFigures(worker, name)
      await Promise.all([ingest.end(), worker.end()])
    },
  }
}

function note(seen: Seen, phase: string, ms: number): void {
  const took = seen.took.get(phase) ?? []
  seen.took.set(phase, took)
  took.push(ms)
}
