/** Shutdown: on SIGTERM or SIGINT the steps run in their order, within a deadline. */
import type { Logger } from './log.js'

export interface StopStep {
  name: string
  stop: () => Promise<unknown>
}

/** For a process that runs the functions of definitions: their errors may surface where nothing awaits them. */
export interface UsersCode {
  /** Finds the function whose unhandled error this is, and its definition; fails its call if it is still running. */
  claim: (error: unknown) => { type: string; name: string } | undefined
  /** Called for each such error, with the type of the definition if it is known. */
  onUnhandled?: (type: string | undefined) => void
}

/**
 * Runs the steps when the process is told to stop; then `exit(0)`, or `exit(1)` if a step failed or the deadline
 * passed. A failed step does not prevent the next ones. An uncaught error also stops the process, with 1. If it runs
 * users' code, unhandled rejections, and exceptions of callbacks in users' code, are logged and the process continues.
 */
export function stopOnSignal(
  log: Logger,
  timeoutMs: number,
  steps: readonly StopStep[],
  exit: (code: number) => void,
  usersCode?: UsersCode,
): void {
  let stopping = false
  const stop = async (cause: string, code: number) => {
    if (stopping) return
    stopping = true
    log.info({ cause }, 'stopping')
    setTimeout(() => {
      log.error({ timeout_ms: timeoutMs }, 'the stop took too long')
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
  const goesOn = (error: unknown, isRejection: boolean) => {
    const call = usersCode?.claim(error)
    if (!usersCode || !(call || isRejection)) return false
    usersCode.onUnhandled?.(call?.type)
    const origin = call ? { type: call.type, function: call.name } : {}
    log.error({ err: error, ...origin }, 'unhandled error: an await or an error listener is missing')
    return true
  }
  process.on('uncaughtException', (error) => {
    if (goesOn(error, false)) return
    log.fatal({ err: error }, 'uncaught error')
    void stop('uncaughtException', 1)
  })
  // Without this listener a rejection is an uncaught exception.
  if (usersCode) process.on('unhandledRejection', (reason) => goesOn(reason, true))
}
