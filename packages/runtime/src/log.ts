/** Logs: JSON lines on stdout, or readable lines if stdout is a terminal. */
import { printable } from '@eventflow/core'
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino'
import { describeError } from './describe-error.js'
import { createLineLimit } from './line-limit.js'
import { printableOnceRead } from './printable-once-read.js'

/**
 * A log that no client can flood: at level `info` or above, only a limited number of lines with the same text is
 * written per second.
 */
export type Logger = PinoLogger & {
  /** A line at `info` about a frequent success: only few are written. */
  routine(fields: object, text: string): void
}

export interface LogSettings {
  EVENTFLOW_LOG_LEVEL: string
  EVENTFLOW_LOG_BATCHES_PER_SECOND: number
}

/** Lines with the same text written per second, unless they are routine. */
const LINES_PER_SECOND = 20

/** Bytes that may wait for the reader of stdout; lines beyond that are lost. */
const MAX_UNREAD = 8 * 1024 * 1024

/** The delay before the count of lines left out at the end of a flood is logged, in milliseconds. */
const TELL_LEFT_OUT_MS = 2_000

/**
 * A logger that names its service on every line. Log only what is listed in docs/telemetry.md: never payloads, keys of
 * events, or URLs with passwords. `destination` takes the JSON lines instead of stdout.
 */
export function createLog(
  service: string,
  settings: LogSettings,
  fields: Record<string, unknown> = {},
  destination?: DestinationStream,
): Logger {
  const limit = createLineLimit()
  const routines = new Set<string>()
  let willTell = false

  const options = {
    level: settings.EVENTFLOW_LOG_LEVEL,
    base: { service, ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
    hooks: {
      logMethod: writeLimited,
      streamWrite: destination || !process.stdout.isTTY ? printable : printableOnceRead,
    },
  }

  function writeLimited(this: PinoLogger, args: unknown[], write: (...args: unknown[]) => void): void {
    const text = args.find((arg) => typeof arg === 'string') ?? ''
    const perSecond = routines.has(text) ? settings.EVENTFLOW_LOG_BATCHES_PER_SECOND : LINES_PER_SECOND
    const leftOut = log.isLevelEnabled('debug') ? 0 : limit.admit(text, perSecond, performance.now())
    if (leftOut === 0) write.apply(this, args)
    else if (leftOut === undefined) tellLeftOutLater()
    else if (typeof args[0] === 'string') write.apply(this, [{ left_out: leftOut }, ...args])
    else write.apply(this, [{ ...(args[0] as object), left_out: leftOut }, ...args.slice(1)])
  }

  /** After a flood there may be no next line to carry the count. */
  function tellLeftOutLater(): void {
    if (willTell) return
    willTell = true
    setTimeout(() => {
      willTell = false
      for (const { kind, leftOut } of limit.takeLeftOut(performance.now())) {
        log.info({ line: kind, left_out: leftOut }, 'lines were suppressed')
      }
    }, TELL_LEFT_OUT_MS).unref()
  }

  function routine(about: object, text: string): void {
    if (settings.EVENTFLOW_LOG_BATCHES_PER_SECOND === 0 && !log.isLevelEnabled('debug')) return
    routines.add(text)
    log.info(about, text)
  }

  const lost = (lines: number) => log.warn({ lines }, 'log lines were lost: stdout is not read fast enough')
  const log = Object.assign(pino(options, destination ?? standardOutput(lost)), { routine })
  return log
}

/**
 * Stdout, written in the background: one write at a time, with all lines that arrived meanwhile, so a slow reader
 * delays no log call. pino writes the rest when the process exits.
 */
function standardOutput(onLost: (lines: number) => void): DestinationStream {
  if (process.stdout.isTTY) {
    return pino.transport({ target: 'pino-pretty', options: { ignore: 'pid,hostname,service' } })
  }
  // With a `minLength` of 0 `flush` would not wait for the current write.
  const output = pino.destination({ fd: 1, sync: false, minLength: 1, maxLength: MAX_UNREAD })
  let lines = 0
  output.on('drop', () => lines++)
  output.on('drain', () => {
    if (lines > 0) onLost(lines)
    lines = 0
  })
  return output
}

/**
 * On SIGUSR2, switches the log to `debug`, where nothing is left out, and back; from `debug` or `trace` to `info`. A
 * signal needs no port, and can only be sent by an account that could also end the process.
 */
export function switchLevelOnSignal(log: Logger): void {
  const configured = log.level
  const other = log.isLevelEnabled('debug') ? 'info' : 'debug'
  process.on('SIGUSR2', () => {
    const level = log.level === configured ? other : configured
    log.level = 'info'
    log.info({ log_level: level }, 'log level changed')
    log.level = level
  })
}
