/** When an alert begins and ends. */

/** Between `below` and `above` nothing changes: a value that wavers around one threshold would raise an alert again and again. */
export interface Limits {
  /** What lasts above it raises the alert. */
  above: number
  /** What lasts at it or below clears it. */
  below: number
  /** How long it must last, in milliseconds. */
  forMs: number
}

/** Where an alert is. */
export interface Standing {
  raised: boolean
  /** Since when the value has been where the alert would turn; missing while it is not. */
  turningSince: number | undefined
}

/**
 * The next standing of an alert, by a value seen at `now`. A value that is not known neither raises nor clears anything, and what
 * was lasting begins anew after it.
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
