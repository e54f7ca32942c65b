/** Clients of a tenant that keep sending: each event until it is accepted, with every attempt in the journal. */
import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../random.js'
import type { Attempt, Journal, SentEvent } from './journal.js'

/** An event of the fault tests, as the clients send it; `mood` controls its type and what it does. */
export interface Step {
  key: string
  /** Its special behaviour, known to its definition. */
  mood?: string
  /** When it happened, in milliseconds since 1970; without it, when it is accepted. */
  at?: number
}

export interface ClientsOptions {
  /** The ingest services; each attempt goes to the next one. */
  urls: readonly string[]
  /** Identifies the tenant; the default tenant without it. */
  apiKey?: string
  journal: Journal
  random: Random
}

export interface Clients {
  /** Sends events as one request, repeatedly until it is accepted; returns their ids. */
  send(steps: readonly Step[]): Promise<string[]>
  /** Starts lanes that together send at a rate; each has its own keys, and some keys are shared by all. */
  start(load: Load): void
  /** Ends the lanes, each with its request accepted. */
  stop(): Promise<void>
  /** Counts so far. */
  readonly counts: { accepted: number; attempts: number; notAccepted: number; slowestMs: number }
}

export interface Load {
  /** Events per second, of all lanes together. */
  rate: number
  lanes: number
  /** Events in one request. */
  batch: number
  keysPerLane: number
  /** The share of events whose definition misbehaves: each may cause its batch to be settled in parts. */
  misbehaving?: number
  /** The mood of all other events. */
  mood?: string
  /** Some accepted requests are sent again, once, within this time after they were accepted, in milliseconds. */
  againWithinMs?: number
}

/** One request, as often as it is sent. */
interface Batch {
  op: number
  body: string
  events: readonly SentEvent[]
}

const SHARED_KEYS = 40

/** The share of requests whose events all have one key. */
const RUNS = 0.05

/** The share of requests that are sent again; those with an event that becomes a dead letter always are. */
const SENT_AGAIN = 0.02
const EVENTS_OF_AN_ENTRY = 50

/** The misbehaviours of a definition: the moods of `fault.handled`. */
const MISBEHAVIOURS = [
  'handler fails once',
  'handler is flaky',
  'handler throws',
  'handler refuses',
  'handler refuses once',
  'handler throws no error',
  'handler throws a trap',
  'handler names the network',
  'handler breaks a value',
  'handler breaks a constraint',
  'handler conflicts',
  'handler finds a lock',
  'handler takes too long',
  'handler idles',
  'handler forgets an await',
  'handler swallows an error',
  'handler rolls back',
  'handler commits',
  'handler changes its data',
  'handler never ends',
  'handler writes late',
  'rules answer true',
  'rules answer a promise',
  'enricher answers a map',
  'enricher rejects later',
]

/** The share of events that lead to another one, and of those that a consumer group fails or refuses. */
const LEADING = 0.03
const TROUBLE_OF_GROUP = 0.0002

/** Shares of events by the time at which they happened: a moment ago, long before, or in the far future. */
const OUT_OF_ORDER = 0.5
const FAR_BEHIND = 0.01
const FAR_AHEAD = 0.0005
const HOURS_MS = 12 * 3_600_000

/** The mood of an event from which a consumer group derives another one. */
export const LEADS_TO_ANOTHER = 'leads to another'

function typeOf(mood = ''): string {
  if (mood === LEADS_TO_ANOTHER) return 'fault.leading'
  return /^(handler|enricher|rules) /.test(mood) ? 'fault.handled' : 'fault.step'
}

const DEADLY = new Set(['flaky', 'failing', 'bad', 'deadly'])
/** An event that fails once does so once in each process, and there may be several. */
const mayDie = (mood = '') => DEADLY.has(mood) || typeOf(mood) === 'fault.handled'

/** The clients of each tenant use the same ids, and the same keys, so that a confusion of tenants is detected. */
const idOf = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`

/** The id of the first event that clients send. */
export const FIRST_ID = idOf(1)

/** A slower answer counts as none, in milliseconds. */
const PATIENCE_MS = 15_000

export function createClients({ urls, apiKey, journal, random }: ClientsOptions): Clients {
  const headers = { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) }
  const counts = { accepted: 0, attempts: 0, notAccepted: 0, slowestMs: 0 }
  const numbers = new Map<string, number>()
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal) // one for each request that is to be sent again
  let lanes: Promise<void>[] = []
  const again: Promise<void>[] = []
  let events = 0
  let operations = 0
  let turn = 0

  const newId = () => idOf(++events)

  /** One attempt, for the journal. `first`: no earlier one has told it the events. */
  async function attempt({ op, body, events }: Batch, first: boolean): Promise<Attempt['result']> {
    const from = performance.now()
    const outcome = await post(`${urls[turn++ % urls.length]}/v1/events/batch`, headers, body, events.length)
    counts.attempts++
    journal.write({ op, from, until: performance.now(), ...outcome, ...(first && { events }) })
    return outcome.result
  }

  /** Sends an accepted request again, once, unless the clients stop before. */
  async function sendAgain(batch: Batch, withinMs: number): Promise<void> {
    await delay(withinMs * random.next(), undefined, { signal: stopping.signal }).catch(() => {})
    if (!stopping.signal.aborted) await attempt(batch, false)
  }

  async function sendBatch(steps: readonly Step[]): Promise<Batch> {
    const op = operations++
    const sent = steps.map(({ key, mood }): SentEvent => {
      const n = (numbers.get(key) ?? 0) + 1
      numbers.set(key, n)
      return { id: newId(), key, n, mayDie: mayDie(mood), refusedByGroup: mood === 'group refuses' }
    })
    const body = JSON.stringify(
      sent.map(({ id, key, n }, i) => {
        const { mood, at } = steps[i]!
        const time = at !== undefined && { time: new Date(at).toISOString() }
        return { id, type: typeOf(mood), ...time, data: { key, n, ...(mood && { mood }) } }
      }),
    )
    const batch = { op, body, events: sent }
    const begun = performance.now()
    for (let attempts = 0; ; attempts++) {
      const result = await attempt(batch, attempts === 0)
      if (result === 'ok' || result === 'refused') break
      counts.notAccepted++
      await delay(Math.min(50 * 2 ** attempts, 1_000))
    }
    counts.accepted += sent.length
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - begun)
    return batch
  }

  async function lane(number: number, load: Load): Promise<void> {
    const everyMs = (1_000 * load.batch * load.lanes) / load.rate
    let dueAt = performance.now() + everyMs * random.next()
    while (!stopping.signal.aborted) {
      const ahead = dueAt - performance.now()
      if (ahead > 0) await delay(ahead)
      dueAt += everyMs
      const steps = chooseSteps(number, load)
      const batch = await sendBatch(steps)
      if (!load.againWithinMs) continue
      const dies = steps.some(({ mood }) => mood === 'bad')
      if (dies || random.next() < SENT_AGAIN) again.push(sendAgain(batch, load.againWithinMs))
    }
  }

  /** Most requests have events of many keys; some have a run of one key, longer than an entry of a stream can be. */
  function chooseSteps(lane: number, { keysPerLane, batch, misbehaving = 0, mood: usual }: Load): Step[] {
    const one = random.next() < RUNS ? chooseKey(lane, keysPerLane) : undefined
    const count = one === undefined ? batch : random.between(2, 2.5 * EVENTS_OF_AN_ENTRY)
    return Array.from({ length: count }, () => {
      const key = one ?? chooseKey(lane, keysPerLane)
      const mood = chooseMood(misbehaving) ?? usual
      const at = chooseTime()
      return { key, ...(mood !== undefined && { mood }), ...(at !== undefined && { at }) }
    })
  }

  function chooseTime(): number | undefined {
    const chance = random.next()
    if (chance < FAR_AHEAD) return Date.now() + HOURS_MS
    if (chance < FAR_AHEAD + FAR_BEHIND) return Date.now() - 60_000
    return chance < OUT_OF_ORDER ? Date.now() - random.between(0, 3_000) : undefined
  }

  function chooseKey(lane: number, keysPerLane: number): string {
    const shared = random.next() < 0.05
    return shared ? `shared ${random.between(1, SHARED_KEYS)}` : `lane ${lane} ${random.between(1, keysPerLane)}`
  }

  function chooseMood(misbehaving: number): string | undefined {
    const chance = random.next()
    if (chance < 0.0002) return 'bad'
    if (chance < 0.002) return 'flaky'
    if (chance < 0.002 + misbehaving) return random.pick(MISBEHAVIOURS)
    const other = random.next()
    if (other < TROUBLE_OF_GROUP) return random.pick(['group fails once', 'group refuses'])
    return other < TROUBLE_OF_GROUP + LEADING ? LEADS_TO_ANOTHER : undefined
  }

  return {
    send: async (steps) => (await sendBatch(steps)).events.map(({ id }) => id),
    start(load) {
      lanes = Array.from({ length: load.lanes }, (_, number) => lane(number, load))
    },
    async stop() {
      stopping.abort()
      await Promise.all(lanes)
      await Promise.all(again)
    },
    counts,
  }
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  events: number,
): Promise<Pick<Attempt, 'result' | 'detail'>> {
  try {
    const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(PATIENCE_MS) })
    const text = await response.text()
    // During any fault, a valid API key is accepted, or told to come again.
    if (response.status === 401 || response.status === 403) return { result: 'refused', detail: text.slice(0, 500) }
    if (response.status !== 200) return { result: 'unknown', detail: `${response.status}` }
    const { accepted, duplicate } = JSON.parse(text)
    return accepted + duplicate === events ? { result: 'ok' } : { result: 'refused', detail: text.slice(0, 500) }
  } catch (error) {
    const cause = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name
    return { result: cause === 'ECONNREFUSED' ? 'failed' : 'unknown', detail: cause }
  }
}
