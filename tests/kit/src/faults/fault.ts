/** A fault: something that breaks, stays broken for a while, and recovers. */
import type { Random } from '../random.js'
import type { Stack } from './stack.js'

export interface Fault {
  /** Its name in the report. */
  name: string
  /** The affected process or server, for the record. */
  victim: string
  /** The resources it needs exclusively: concurrent faults share none of them. */
  takes: string[]
  /**
   * Breaks something and repairs it. Recovery counts from the call of `struck`; if that is never called, from the end.
   */
  run(struck: () => void): Promise<void>
}

/** Makes a fault of its kind with a random target and parameters; `undefined` if it is impossible on this stack. */
export type FaultKind = (stack: Stack, random: Random) => Fault | undefined
