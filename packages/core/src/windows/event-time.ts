/** How a window or a join follows the time of events: what users write, as microseconds. */
import { readDuration } from './durations.js'
import type { Micros } from './micros.js'

/** As users write it, in durations such as `'30s'`. */
export interface WrittenEventTime {
  /**
   * How far behind the latest event another one may be without being late. Default: `'0s'`, for events that come in the
   * order of their times.
   */
  outOfOrderness?: string
  /**
   * How long a partition must have been without events until time passes there without them. `'never'`: it passes with
   * events only, for sources that send history. Default: `'30s'`.
   */
  idle?: string
}

export interface EventTime {
  readonly outOfOrderness: Micros
  /** `undefined`: never. */
  readonly idle: Micros | undefined
}

const OUT_OF_ORDERNESS = '0s'
const IDLE = '30s'

/** Reads the durations, with the defaults. Throws a TypeError that names the wrong one. */
export function readEventTime({ outOfOrderness, idle }: WrittenEventTime = {}): EventTime {
  return {
    outOfOrderness: readDuration('time.outOfOrderness:', outOfOrderness ?? OUT_OF_ORDERNESS, 'zero'),
    idle: idle === 'never' ? undefined : readDuration('time.idle:', idle ?? IDLE),
  }
}
