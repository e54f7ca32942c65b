/** Logs: JSON lines on stdout, readable ones where stdout is a terminal. */
import { type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/**
 * A logger that names its service on every line. Log only what is listed in docs/operating.md: never payloads, keys of
 * events, or URLs with passwords. `destination` takes the JSON lines instead of stdout.
 */
export function createLog(
  service: string,
  level: string,
  fields: Record<string, unknown> = {},
  destination?: { write(line: string): void },
): Logger {
  const options = {
    level,
    base: { service, ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
  }
  if (destination) return pino(options, destination)
  const pretty = { target: 'pino-pretty', options: { ignore: 'pid,hostname,service' } }
  return pino({ ...options, ...(process.stdout.isTTY && { transport: pretty }) })
}

/** What a log may say of an error: not the `detail` of Postgres, which quotes the row. */
function describeError(error: unknown) {
  if (!(error instanceof Error)) return { message: String(error) }
  return { type: error.name, message: error.message, code: (error as { code?: unknown }).code, stack: error.stack }
}
