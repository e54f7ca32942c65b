/** Shares a limited resource in turns, so that no party keeps the others from it. */

/** The number of turns. */
export interface TurnLimits {
  /** Concurrent turns of all parties together. */
  atOnce: number
  /** Concurrent turns of one party. */
  atOnceEach: number
  /** Requests of one party that may wait for a turn; with 0, a request that would have to wait is refused. */
  waitingEach: number
}

/** The party has reached its limit of waiting requests. */
export class TooManyWaitingError extends Error {
  override name = 'TooManyWaitingError'
}

export interface Turns {
  /**
   * Resolves when it is the party's turn, with the function that ends the turn, to be called once. Waiting parties are
   * served round-robin, and the requests of each in their order. Rejects at once with TooManyWaitingError.
   */
  take(party: string): Promise<() => void>
  /** Runs `work` when it is the party's turn, and ends the turn afterwards. Rejects as `take` does. */
  run<Result>(party: string, work: () => Promise<Result>): Promise<Result>
  /** Throws TooManyWaitingError if `take` would reject now: for callers with expensive work before their turn. */
  require(party: string): void
}

interface Party {
  running: number
  waiting: (() => void)[]
}

export function createTurns({ atOnce, atOnceEach, waitingEach }: TurnLimits): Turns {
  // Parties that run or wait, the one with the least recent turn first.
  const parties = new Map<string, Party>()
  let running = 0

  function next(): [string, Party] | undefined {
    for (const entry of parties) if (entry[1].waiting.length > 0 && entry[1].running < atOnceEach) return entry
    return undefined
  }

  function giveTurns(): void {
    while (running < atOnce) {
      const found = next()
      if (!found) return
      const [name, party] = found
      parties.delete(name)
      parties.set(name, party)
      running++
      party.running++
      party.waiting.shift()!()
    }
  }

  function end(name: string, party: Party): void {
    running--
    party.running--
    if (party.running === 0 && party.waiting.length === 0) parties.delete(name)
    giveTurns()
  }

  function requireRoom(party: Party): void {
    const mustWait = running >= atOnce || party.running >= atOnceEach || party.waiting.length > 0
    if (!mustWait || party.waiting.length < waitingEach) return
    throw new TooManyWaitingError(`${party.running} requests are under way, and ${waitingEach} wait`)
  }

  const partyOf = (name: string): Party => parties.get(name) ?? { running: 0, waiting: [] }

  async function take(name: string): Promise<() => void> {
    const party = partyOf(name)
    requireRoom(party)
    parties.set(name, party)
    await new Promise<void>((go) => {
      party.waiting.push(go)
      giveTurns()
    })
    return () => end(name, party)
  }

  return {
    take,
    require: (name) => requireRoom(partyOf(name)),
    async run(name, work) {
      const end = await take(name)
      try {
        return await work()
      } finally {
        end()
      }
    },
  }
}
