/** Stopping: on SIGTERM or SIGINT the steps are done in their order, within a deadline. */
import type { Logger } from './log.js'

export interface StopStep {
  name: string
  stop: () => Promise<unknown>
}

/**
 * Runs the steps when the process is told to stop; then `exit(0)`, or `exit(1)` when a step failed or the deadline
 * passed. A step that fails does not keep the next ones from being done. Also stops on an error nobody caught, with 1.
 */
export function stopOnSignal(
  log: Logger,
  timeoutMs: number,
  steps: readonly StopStep[],
  exit: (code: number) => void,
): void {
  let stopping = false
  const stop = async (cause: string, code: number) => {
    if (stopping) return
    stopping = true
    log.info({ cause }, 'stopping')
    setTimeout(() => {
      log.error({ timeout_ms: timeoutMs }, 'not stopped in time')
      exit(1)
    }, timeoutMs).unref()
    let exitCode = code
    for (const step of steps) {
      await step.stop().catch((error) => {
        log.error({ err: error, step: step.name }, 'a step of the stop failed')
        exitCode = 1
      })
    }
    log.info('stopped')
    log.flush(() => exit(exitCode))
  }
  process.on('SIGTERM', () => stop('SIGTERM', 0))
  process.on('SIGINT', () => stop('SIGINT', 0))
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'an error that nobody caught')
    void stop('uncaughtException', 1)
  })
}
