/** How many lines of one kind a log takes: the first ones of a second. The others are counted. */

/** More kinds than a program has texts; beyond it the counts are forgotten. */
const MAX_KINDS = 1_000

export interface LineLimit {
  /**
   * Whether one more line of a kind may be written at `now`, in milliseconds: the number of lines of its kind that were left
   * out before it, or `undefined` when this one is left out too.
   */
  admit(kind: string, perSecond: number, now: number): number | undefined
  /** The kinds of which lines were left out and whose second is over, with how many, and forgets them. */
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
