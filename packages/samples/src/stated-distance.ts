/** The business rule of the sample: an airline's distance must agree with the positions of the airports. */
import type { Problem } from '@eventflow/sdk'

export interface StatedDistance {
  origin: string
  destination: string
  /** Statute miles, as stated by the airline. */
  distance: number
  /** Statute miles, from the positions of the airports. */
  great_circle_miles: number
}

/** Stated distances are whole miles, and the two may refer to different points of an airport. */
const TOLERATED_MILES = 1

/** A great circle on a sphere is up to 0.5 % off the distance on the real Earth. */
const TOLERATED_SHARE = 0.005

/**
 * A problem if the stated distance differs from the great-circle distance by more than rounding and the shape of the
 * Earth explain. Of the 20,000 flights of the sample 116 break the rule, on 10 routes under 350 miles.
 */
export function distanceProblems(flight: StatedDistance): Problem[] {
  const { origin, destination, distance, great_circle_miles } = flight
  const difference = Math.abs(distance - great_circle_miles)
  if (difference <= Math.max(TOLERATED_MILES, TOLERATED_SHARE * great_circle_miles)) return []
  const message =
    `the stated distance of ${distance} miles from ${origin} to ${destination} is ${difference.toFixed(2)} miles off ` +
    `the great-circle distance of ${great_circle_miles.toFixed(2)} miles; tolerated are 1 mile or 0.5 %, whichever is more`
  return [{ pointer: '/distance', message }]
}
