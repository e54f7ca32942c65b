/** Turns at what only a few may use at once, shared out so that no party keeps the others from it. */

/** How many turns there are. */
export interface TurnLimits {
  /** Turns at once, of all parties together. */
  atOnce: number
  /** Turns at once of one party. */
  atOnceEach: number
  /** Requests of one party that may wait for a turn; with 0 it is refused where it would have to wait. */
  waitingEach: number
}

/** As many requests of a party wait as may wait. */
export class TooManyWaitingError extends Error {
  override name = 'TooManyWaitingError'
}

export interface Turns {
  /**
   * Resolves when it is the party's turn, with what ends the turn: to be called once. The parties that wait go one after the
   * other, and the requests of each in their order. Rejects at once with TooManyWaitingError.
   */
  take(party: string): Promise<() => void>
  /** Does its work when it is the party's turn, which ends with it. Rejects as `take` does. */
  run<Result>(party: string, work: () => Promise<Result>): Promise<Result>
  /** Throws TooManyWaitingError where `take` would reject with it now: for what costs something before its turn. */
  require(party: string): void
}

interface Party {
  running: number
  waiting: (() => void)[]
}

export function createTurns({ atOnce, atOnceEach, waitingEach }: TurnLimits): Turns {
  // Those that run or wait, the one that had its last turn the longest ago first.
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
