/** Tests whether keys are spread over the partitions as evenly as chance allows. */

export interface Distribution {
  /** Events by partition. */
  events: number[]
  /** The largest difference from an even share, relative to that share. */
  largestDeviation: number
  /** Whether chance explains the deviation of every partition from an even share. */
  even: boolean
}

/** In standard deviations: with fair keys one run in ten thousand has a partition that is further away. */
const EXPLAINED_BY_CHANCE = 5

/**
 * Judges events whose users were drawn uniformly. Chance acts twice: on the number of users in a partition (binomial),
 * and on the number of their events (binomial again); their variances add up.
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
