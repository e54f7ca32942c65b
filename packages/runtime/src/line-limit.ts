/** Limits the log lines of one kind: the first ones of a second are written, the others are counted. */

/** More kinds than a program has texts; beyond it the counts are dropped. */
const MAX_KINDS = 1_000

export interface LineLimit {
  /**
   * Whether one more line of a kind may be written at `now`, in milliseconds: returns the number of lines of its kind
   * left out before it, or `undefined` if this one is left out too.
   */
  admit(kind: string, perSecond: number, now: number): number | undefined
  /** Returns, and forgets, the kinds with lines left out whose second is over, with their counts. */
  takeLeftOut(now: number): { kind: string; leftOut: number }[]
}

export function createLineLimit(): LineLimit {
  const kinds = new Map<string, { since: number; written: number; leftOut: number }>()
  return {
    admit(kind, perSecond, now) {
      let state = kinds.get(kind)
      if (!state) {
        if (kinds.size >= MAX_KINDS) kinds.clear()
        state = { since: now, written: 0, leftOut: 0 }
        kinds.set(kind, state)
      }
      if (now - state.since >= 1_000) {
        state.since = now
        state.written = 0
      }
      if (state.written >= perSecond) {
        state.leftOut++
        return undefined
      }
      state.written++
      const { leftOut } = state
      state.leftOut = 0
      return leftOut
    },
    takeLeftOut(now) {
      const over = [...kinds].filter(([, { since, leftOut }]) => leftOut > 0 && now - since >= 1_000)
      for (const [kind] of over) kinds.delete(kind)
      return over.map(([kind, { leftOut }]) => ({ kind, leftOut }))
    },
  }
}
