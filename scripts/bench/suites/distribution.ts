/** Whether keys are spread evenly over the partitions: as evenly as chance allows, that is. */

export interface Distribution {
  /** Events by partition. */
  events: number[]
  /** The largest difference from an even share, as a part of that share. */
  largestDeviation: number
  /** No partition is further from an even share than chance explains. */
  even: boolean
}

/** In standard deviations: with fair keys one run in ten thousand has a partition that is further away. */
const EXPLAINED_BY_CHANCE = 5

/**
 * Judges events that were drawn evenly from so many users. Chance acts twice: how many users a partition has got
 * (binomial), and how many events of them (binomial again); their variances add up.
 */
export function distributionOf(events: number[], users: number): Distribution {
  const total = events.reduce((sum, count) => sum + count, 0)
  const share = 1 / events.length
  const expected = total * share
  const perUser = total / users
  const variance = (perUser ** 2 * users + total) * share * (1 - share)
  const deviations = events.map((count) => Math.abs(count - expected))
  const largest = Math.max(...deviations)
  return {
    events,
    largestDeviation: largest / expected,
    even: largest <= EXPLAINED_BY_CHANCE * Math.sqrt(variance),
  }
}
