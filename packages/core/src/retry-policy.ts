/** When an event that failed transiently is tried again. */

export interface RetryPolicy {
  /** Maximum attempts, including the first. */
  attempts: number
  /** Delay before the second attempt in milliseconds; doubled for each further one. */
  baseDelayMs: number
  /** Upper limit of a delay, in milliseconds. */
  maxDelayMs: number
}

/** Four attempts; between them at most 2 s, 4 s and 8 s. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { attempts: 4, baseDelayMs: 2_000, maxDelayMs: 300_000 }

/** The maximum delay in milliseconds after `attempts` failed attempts: 2 s, 4 s, 8 s, … by default. */
export function backoffMs(attempts: number, policy: RetryPolicy): number {
  return Math.min(policy.baseDelayMs * 2 ** (attempts - 1), policy.maxDelayMs)
}

/**
 * "Full jitter": a delay drawn uniformly from [0, longest), so that events that failed together do not return together.
 * `random` is in [0, 1). Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function withFullJitter(longestMs: number, random: number): number {
  return Math.floor(longestMs * random)
}
