/** A steady load: many keys, each with one sender that waits for an answer before it sends the next event. */
import { setTimeout as delay } from 'node:timers/promises'
import { post } from './post.js'

export interface SteadyLoad {
  /** How many events of each key were acknowledged so far: those numbered from 0 to one less. */
  acknowledged: ReadonlyMap<string, number>
  total(): number
  /** Resolves when the last request is answered. Throws if any answer was not 202. */
  stop(): Promise<void>
}

/** Sends `eventOf(key, 0)`, `eventOf(key, 1)`, … of every key, with a pause after each. */
export function startSteadyLoad(
  url: string,
  { keys, eventOf, pauseMs }: { keys: readonly string[]; eventOf: (key: string, n: number) => object; pauseMs: number },
): SteadyLoad {
  const acknowledged = new Map(keys.map((key) => [key, 0]))
  let stopped = false

  async function send(key: string): Promise<void> {
    for (let n = 0; !stopped; n++) {
      const response = await post(`${url}/v1/events`, eventOf(key, n))
      if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`)
      acknowledged.set(key, n + 1)
      await delay(pauseMs)
    }
  }

  const senders = Promise.all(keys.map(send))
  senders.catch(() => {}) // reported by stop
  return {
    acknowledged,
    total: () => [...acknowledged.values()].reduce((sum, count) => sum + count, 0),
    async stop() {
      stopped = true
      await senders
    },
  }
}
