/** The current step of a lane, for the watchdog. */

type Step = 'looking for events' | 'processing a batch' | 'settling a batch' | 'acknowledging a batch'

export interface Activity {
  begin(step: Step): void
  failed(error: unknown): void
  /** The current step, when it began (monotonic clock, in milliseconds), and the most recent error. */
  state(): { step: Step; since: number; lastError: string | undefined }
}

/** Creates the record of what a lane is doing; it begins with looking for events. */
export function createActivity(): Activity {
  let step: Step = 'looking for events'
  let since = performance.now()
  let lastError: string | undefined
  return {
    begin(next) {
      step = next
      since = performance.now()
    },
    failed(error) {
      lastError = error instanceof Error ? error.message : String(error)
    },
    state: () => ({ step, since, lastError }),
  }
}
