/** Startup: a process may start before the services it needs. */
import pRetry from 'p-retry'
import type { Logger } from './log.js'

/**
 * Runs `step`, and repeats it for about a minute while it fails because a service is not up yet. An error for which
 * `mayPass` is false ends the start at once.
 */
export async function untilDone<Result>(
  what: string,
  log: Logger,
  step: () => Promise<Result>,
  mayPass: (error: unknown) => boolean,
): Promise<Result> {
  return pRetry(step, {
    retries: 30,
    minTimeout: 100,
    maxTimeout: 2_000,
    shouldRetry: ({ error }) => mayPass(error),
    onFailedAttempt: ({ error, attemptNumber }) => log.warn({ attempt: attemptNumber, err: error }, `${what} failed`),
  })
}
