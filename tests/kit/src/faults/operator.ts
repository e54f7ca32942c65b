/** Simulated operators, also during faults: they replay dead letters, discard some, and skip waiting events. */
import { setTimeout as delay } from 'node:timers/promises'
import { post } from '../post.js'
import type { Random } from '../random.js'

export interface OperatorOptions {
  /** The services; each request goes to one of them. */
  urls: readonly string[]
  /** It must have the scopes of an operator. */
  apiKey?: string
  random: Random
  /** Between two of their requests, in milliseconds. */
  everyMs: number
}

export interface Operators {
  /** How many requests of each kind succeeded. */
  readonly done: Record<'replay' | 'discard' | 'skip', number>
  /** Ends their work; operations already requested continue. */
  stop(): Promise<void>
}

/** A slower answer counts as none, in milliseconds. */
const PATIENCE_MS = 15_000

/**
 * Starts the operators. They replay dead letters only, never processed events: those would have their effects again, as
 * documented. A failed request is not repeated; there is always more to do.
 */
export function startOperators({ urls, apiKey, random, everyMs }: OperatorOptions): Operators {
  const done = { replay: 0, discard: 0, skip: 0 }
  const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {}
  const stopping = new AbortController()

  const tell = async (path: string, body: object) =>
    (await post(`${random.pick(urls)}${path}`, body, headers)).status < 300

  const work: Record<keyof typeof done, () => Promise<boolean>> = {
    replay: () => tell('/v1/dead-letters/replay', { filter: {}, rate: 1_000, reason: 'once more' }),
    // Dead letters that fail again would be replayed again and again.
    discard: () => tell('/v1/dead-letters/discard', { filter: {}, reason: 'it will not work' }),
    async skip() {
      const signal = AbortSignal.timeout(PATIENCE_MS)
      const { items } = (await (await fetch(`${random.pick(urls)}/v1/waiting`, { headers, signal })).json()) as {
        items: { id: string }[]
      }
      return items.length > 0 && tell(`/v1/waiting/${random.pick(items).id}/skip`, { reason: 'in the way' })
    },
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const kind = random.pick(['replay', 'discard', 'skip'] as const)
      if (await work[kind]().catch(() => false)) done[kind]++
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    done,
    async stop() {
      stopping.abort()
      await running
    },
  }
}
