/**
 * The watermark of a tenant in a partition: the event time up to which a reader of the log expects no more events. It
 * is advanced entry by entry in the order of the log, so it does not depend on how entries fall into batches.
 */
import { earlier, later, type Micros } from './micros.js'

/** The state of a watermark. `undefined`: none yet. */
export interface Watermark {
  /** The watermark; it never goes back. */
  readonly at: Micros | undefined
  /** The latest time that an event or a tick has shown. */
  readonly seen: Micros | undefined
  /** While set, the watermark does not pass it: the time of an event that is still to come. */
  readonly hold: Micros | undefined
}

/** An entry of the log, as far as the watermark is concerned. */
export type LogEntryTime =
  /** An event counts with the earlier of its two times: a clock that is ahead passes nothing. */
  | { readonly kind: 'event'; readonly occurred: Micros; readonly accepted: Micros }
  /** Everything that was accepted up to this time is settled. */
  | { readonly kind: 'tick'; readonly at: Micros }
  /** An event of this time (the earlier of its two times) waits, and later ones are settled before it. */
  | { readonly kind: 'hold'; readonly at: Micros }
  /** No event waits any more. */
  | { readonly kind: 'release' }

export const NO_WATERMARK: Watermark = Object.freeze({ at: undefined, seen: undefined, hold: undefined })

/** The watermark after an entry. An event meets the watermark before it. */
export function advance(watermark: Watermark, entry: LogEntryTime, outOfOrderness: Micros): Watermark {
  const seen = latest(watermark.seen, timeShownBy(entry))
  const hold = entry.kind === 'hold' ? entry.at : entry.kind === 'release' ? undefined : watermark.hold
  if (seen === undefined) return { at: watermark.at, seen, hold }
  const free = seen - outOfOrderness
  return { at: latest(watermark.at, hold === undefined ? free : earlier(free, hold)), seen, hold }
}

function timeShownBy(entry: LogEntryTime): Micros | undefined {
  if (entry.kind === 'event') return earlier(entry.occurred, entry.accepted)
  return entry.kind === 'tick' ? entry.at : undefined
}

function latest(a: Micros | undefined, b: Micros | undefined): Micros | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return later(a, b)
}
