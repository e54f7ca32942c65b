/** Decides when an alert begins and ends. */

/**
 * Between `below` and `above` nothing changes: with a single threshold, a fluctuating value would raise the alert again
 * and again.
 */
export interface Limits {
  /** A value that stays above this raises the alert. */
  above: number
  /** A value that stays at this or below clears it. */
  below: number
  /** How long the value must stay there, in milliseconds. */
  forMs: number
}

/** The state of an alert. */
export interface Standing {
  raised: boolean
  /** Since when the value has been beyond the limit that changes the alert; `undefined` while it is not. */
  turningSince: number | undefined
}

/**
 * The next state of an alert after a value seen at `now`. An unknown value neither raises nor clears anything, and
 * restarts the required duration.
 */
export function judge(
  { raised, turningSince }: Standing,
  value: number | undefined,
  limits: Limits,
  now: number,
): Standing {
  const turning = value !== undefined && (raised ? value <= limits.below : value > limits.above)
  if (!turning) return { raised, turningSince: undefined }
  const since = turningSince ?? now
  return now - since >= limits.forMs ? { raised: !raised, turningSince: undefined } : { raised, turningSince: since }
}
