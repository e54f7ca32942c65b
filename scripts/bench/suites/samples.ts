/** Interpolates a run between its samples. */

/** The number of events done after this many seconds. */
export interface Sample {
  seconds: number
  events: number
}

/** When this many events were done, assuming a constant rate between two samples. The samples are in order. */
export function secondsUntil(samples: readonly Sample[], events: number): number {
  const after = samples.findIndex((sample) => sample.events >= events)
  if (after === -1) throw new RangeError(`${events} events were never reached`)
  if (after === 0) return samples[0]!.seconds
  const [from, to] = [samples[after - 1]!, samples[after]!]
  return from.seconds + ((to.seconds - from.seconds) * (events - from.events)) / (to.events - from.events)
}

/** The rate of every complete part of this many events. */
export function ratesOfParts(samples: readonly Sample[], part: number): { upTo: number; eventsPerSecond: number }[] {
  const parts = Math.floor((samples.at(-1)?.events ?? 0) / part)
  return Array.from({ length: parts }, (_, n) => {
    const upTo = (n + 1) * part
    return { upTo, eventsPerSecond: part / (secondsUntil(samples, upTo) - secondsUntil(samples, n * part)) }
  })
}

const MILLION = 1_000_000

/**
 * The rate of the last million of these events over that of the first; of a shorter run, of the last and the first
 * tenth.
 */
export function lastToFirst(samples: readonly Sample[], events: number): number {
  const span = Math.min(MILLION, events / 10)
  const first = secondsUntil(samples, span)
  const last = secondsUntil(samples, events) - secondsUntil(samples, events - span)
  return first / last
}
