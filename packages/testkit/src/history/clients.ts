/** Clients that keep sending: each event until it is accepted, and every attempt in the journal. */
import { randomFillSync } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createUuidV7 } from '@eventflow/core'
import type { Random } from '../random.js'
import type { Attempt, Journal, SentEvent } from './journal.js'

/** An event of the type `fault.step`, as the clients send it; what it does is said by `mood`. */
export interface Step {
  key: string
  /** What is special about it; its definition knows. */
  mood?: string
}

export interface ClientsOptions {
  /** The ingestion services; each attempt goes to the next one. */
  urls: readonly string[]
  journal: Journal
  random: Random
}

export interface Clients {
  /** Sends events as one request, again and again until it is accepted; gives their ids. */
  send(steps: readonly Step[]): Promise<string[]>
  /** Starts lanes that send at a pace in all; each has keys of its own, and some keys are everybody's. */
  start(load: Load): void
  /** Ends the lanes, each with its request accepted. */
  stop(): Promise<void>
  /** What was done so far. */
  readonly counts: { accepted: number; attempts: number; notAccepted: number; slowestMs: number }
}

export interface Load {
  /** Events per second, of all lanes together. */
  rate: number
  lanes: number
  /** Events of a request. */
  batch: number
  keysPerLane: number
}

const SHARED_KEYS = 40

const MAY_DIE = new Set(['flaky', 'failing', 'bad', 'deadly'])

/** An answer that takes longer counts as none, in milliseconds. */
const PATIENCE_MS = 15_000

export function createClients({ urls, journal, random }: ClientsOptions): Clients {
  const newId = createUuidV7(Date.now, (buffer) => randomFillSync(buffer))
  const counts = { accepted: 0, attempts: 0, notAccepted: 0, slowestMs: 0 }
  const numbers = new Map<string, number>()
  let stopping = false
  let lanes: Promise<void>[] = []
  let operations = 0
  let turn = 0

  async function send(steps: readonly Step[]): Promise<string[]> {
    const op = operations++
    const events = steps.map(({ key, mood }): SentEvent & { mood: string | undefined } => {
      const n = (numbers.get(key) ?? 0) + 1
      numbers.set(key, n)
      return { id: newId(), key, n, mayDie: MAY_DIE.has(mood ?? ''), mood }
    })
    const body = JSON.stringify(
      events.map(({ id, key, n, mood }) => ({ id, type: 'fault.step', data: { key, n, ...(mood && { mood }) } })),
    )
    const begun = performance.now()
    for (let attempt = 0; ; attempt++) {
      const from = performance.now()
      const outcome = await post(`${urls[turn++ % urls.length]}/v1/events/batch`, body, steps.length)
      counts.attempts++
      journal.write({ op, from, until: performance.now(), ...outcome, ...(attempt === 0 && { events }) })
      if (outcome.result === 'ok' || outcome.result === 'refused') break
      counts.notAccepted++
      await delay(Math.min(50 * 2 ** attempt, 1_000))
    }
    counts.accepted += events.length
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - begun)
    return events.map(({ id }) => id)
  }

  async function lane(number: number, { rate, lanes: count, batch, keysPerLane }: Load): Promise<void> {
    const everyMs = (1_000 * batch * count) / rate
    let dueAt = performance.now() + everyMs * random.next()
    while (!stopping) {
      const ahead = dueAt - performance.now()
      if (ahead > 0) await delay(ahead)
      dueAt += everyMs
      await send(Array.from({ length: batch }, () => chooseStep(number, keysPerLane)))
    }
  }

  function chooseStep(lane: number, keysPerLane: number): Step {
    const shared = random.next() < 0.05
    const key = shared ? `shared ${random.between(1, SHARED_KEYS)}` : `lane ${lane} ${random.between(1, keysPerLane)}`
    const chance = random.next()
    return chance < 0.0002 ? { key, mood: 'bad' } : chance < 0.002 ? { key, mood: 'flaky' } : { key }
  }

  return {
    send,
    start(load) {
      lanes = Array.from({ length: load.lanes }, (_, number) => lane(number, load))
    },
    async stop() {
      stopping = true
      await Promise.all(lanes)
    },
    counts,
  }
}

async function post(url: string, body: string, events: number): Promise<Pick<Attempt, 'result' | 'detail'>> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    const text = await response.text()
    if (response.status !== 200) return { result: 'unknown', detail: `${response.status}` }
    const { accepted, duplicate } = JSON.parse(text)
    return accepted + duplicate === events ? { result: 'ok' } : { result: 'refused', detail: text.slice(0, 500) }
  } catch (error) {
    const cause = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name
    return { result: cause === 'ECONNREFUSED' ? 'failed' : 'unknown', detail: cause }
  }
}
