/** When a request is retried, and when the client gives up. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Problem, RequestFailed } from './failure.js'

export interface RetryPolicy {
  /** No try starts later than this after the first, in milliseconds. 0: one try only. */
  giveUpAfterMs: number
  /** The maximum delay after the first failure, in milliseconds; doubled after each further one. */
  baseDelayMs: number
  /** Upper limit of the client's delays, in milliseconds. A server may ask for more. */
  maxDelayMs: number
}

/** Delays of at most 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, … s, for a minute in all. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { giveUpAfterMs: 60_000, baseDelayMs: 100, maxDelayMs: 10_000 }

/** Why a request has to be sent again, and the delay that the server asked for, in milliseconds. */
export interface Again {
  cause?: unknown
  problem?: Problem
  retryAfterMs: number
}

/**
 * The delay before the next try in milliseconds, or `undefined` to give up. The delay is drawn uniformly from zero to
 * the maximum ("full jitter"), on top of what the server asked for, so that clients do not return together. `random` is
 * in [0, 1).
 */
export function nextDelayMs(
  tried: { failures: number; elapsedMs: number; retryAfterMs: number },
  policy: RetryPolicy,
  random: number,
): number | undefined {
  const longest = Math.min(policy.baseDelayMs * 2 ** (tried.failures - 1), policy.maxDelayMs)
  const delay = tried.retryAfterMs + Math.floor(longest * random)
  return tried.elapsedMs + delay < policy.giveUpAfterMs ? delay : undefined
}

/** A `Retry-After` header in milliseconds from `now`: seconds or a date (RFC 9110); 0 if it is missing. */
export function retryAfterMs(header: string | undefined, now: number): number {
  if (header === undefined) return 0
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now
  return Number.isFinite(ms) ? Math.max(0, ms) : 0
}

/**
 * Calls `attempt` until it asks for no retry. Then returns `undefined`, or the reason of the last retry if it gives up:
 * the policy allows no further try, or `signal` was aborted.
 */
export async function retrying(
  attempt: () => Promise<Again | undefined>,
  policy: RetryPolicy,
  signal?: AbortSignal,
): Promise<RequestFailed | undefined> {
  const startedAt = performance.now()
  for (let failures = 1; ; failures++) {
    const again = await attempt()
    if (again === undefined) return undefined
    const tried = { failures, elapsedMs: performance.now() - startedAt, retryAfterMs: again.retryAfterMs }
    const delay = nextDelayMs(tried, policy, Math.random())
    if (delay === undefined || !(await slept(delay, signal))) return new RequestFailed(again, failures)
  }
}

/** Waits `ms`; false if `signal` cut it short. */
export async function slept(ms: number, signal?: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, signal ? { signal } : {})
    return true
  } catch {
    return false
  }
}
