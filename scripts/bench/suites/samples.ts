/** Reading a run between the moments at which it was looked at. */

/** How many events were done after so many seconds. */
export interface Sample {
  seconds: number
  events: number
}

/** When so many events were done, taking the rate between two samples as even. The samples are in order. */
export function secondsUntil(samples: readonly Sample[], events: number): number {
  const after = samples.findIndex((sample) => sample.events >= events)
  if (after === -1) throw new RangeError(`${events} events were never reached`)
  if (after === 0) return samples[0]!.seconds
  const [from, to] = [samples[after - 1]!, samples[after]!]
  return from.seconds + ((to.seconds - from.seconds) * (events - from.events)) / (to.events - from.events)
}

/** The rate of every whole part of so many events that is done. */
export function ratesOfParts(samples: readonly Sample[], part: number): { upTo: number; eventsPerSecond: number }[] {
  const parts = Math.floor((samples.at(-1)?.events ?? 0) / part)
  return Array.from({ length: parts }, (_, n) => {
    const upTo = (n + 1) * part
    return { upTo, eventsPerSecond: part / (secondsUntil(samples, upTo) - secondsUntil(samples, n * part)) }
  })
}
