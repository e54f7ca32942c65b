/** When an alert is raised and cleared. */

/** Between `below` and `above` nothing changes, so that a value near one threshold does not flap. */
export interface Limits {
  /** Values above it for `forMs` raise the alert. */
  above: number
  /** Values at or below it for `forMs` clear the alert. */
  below: number
  /** In milliseconds. */
  forMs: number
}

/** The state of an alert. */
export interface Standing {
  raised: boolean
  /** Since when the value has been beyond the limit that changes the state; missing while it is not. */
  turningSince: number | undefined
}

/**
 * The next state of an alert after a value read at `now`. An unknown value changes nothing, and restarts `forMs`.
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
