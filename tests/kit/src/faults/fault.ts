/** A fault: something that breaks, lasts for a while, and is well again. */
import type { Random } from '../random.js'
import type { Stack } from './stack.js'

export interface Fault {
  /** What it is, as the report names it. */
  name: string
  /** Whom it befell, for the record. */
  victim: string
  /** What it needs for itself: no two faults that run at once have one of these in common. */
  takes: string[]
  /**
   * Breaks it and makes it well again. Recovery counts from the call of `struck`; where that is never called, from the end.
   */
  run(struck: () => void): Promise<void>
}

/** Makes a fault of its kind; whom it befalls and how is left to chance. Nothing where the stack cannot have it. */
export type FaultKind = (stack: Stack, random: Random) => Fault | undefined
