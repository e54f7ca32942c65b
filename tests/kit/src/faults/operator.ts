/** Operators at work, also while things are broken: they replay dead letters, discard some, and skip what waits. */
import { setTimeout as delay } from 'node:timers/promises'
import { post } from '../post.js'
import type { Random } from '../random.js'

export interface OperatorOptions {
  /** The services; each request goes to some of them. */
  urls: readonly string[]
  /** Its scopes must be those of an operator. */
  apiKey?: string
  random: Random
  /** Between two of their requests, in milliseconds. */
  everyMs: number
}

export interface Operators {
  /** How many requests of each kind were answered as done. */
  readonly done: Record<'replay' | 'discard' | 'skip', number>
  /** Ends their work; what they have asked for goes on. */
  stop(): Promise<void>
}

/** An answer that takes longer counts as none, in milliseconds. */
const PATIENCE_MS = 15_000

/**
 * Puts operators to work. They replay dead letters only, never processed events: those would have their effects again, as is
 * promised. What fails is not done again; there is always more to do.
 */
export function startOperators({ urls, apiKey, random, everyMs }: OperatorOptions): Operators {
  const done = { replay: 0, discard: 0, skip: 0 }
  const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {}
  const stopping = new AbortController()

  const tell = async (path: string, body: object) =>
    (await post(`${random.pick(urls)}${path}`, body, headers)).status < 300

  const work: Record<keyof typeof done, () => Promise<boolean>> = {
    replay: () => tell('/v1/dead-letters/replay', { filter: {}, rate: 1_000, reason: 'once more' }),
    // Those that were replayed in vain would be replayed again and again.
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
