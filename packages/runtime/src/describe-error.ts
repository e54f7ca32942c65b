/** What a log may say of an error: never what it quotes of an event. */

/**
 * Classes of SQLSTATE whose messages speak of the server, the session or the statement. The messages of all others, such as
 * 22 (`invalid input syntax for type integer: "…"`) and what a trigger raises, may quote values.
 */
const QUOTES_NOTHING = new Set(['08', '25', '28', '3D', '40', '42', '53', '54', '55', '57', '58', 'XX'])

/** Type, message, code and stack. Not the `detail` of Postgres, which quotes the row, nor the arguments of a command. */
export function describeError(error: unknown) {
  if (!(error instanceof Error)) return { message: 'something was thrown that is no error' }
  const { code } = error as { code?: unknown }
  const frames = error.stack?.split('\n').filter((line) => /^ {4}at /.test(line)) ?? []
  const message = messageOf(error, code)
  return { type: error.name, message, code, stack: [`${error.name}: ${message}`, ...frames].join('\n') }
}

function messageOf(error: Error, code: unknown): string {
  // JSON.parse quotes what it could not read.
  if (error.name === 'SyntaxError') return 'a text could not be parsed'
  const isOfPostgres = 'severity' in error && typeof code === 'string'
  if (isOfPostgres && !QUOTES_NOTHING.has(code.slice(0, 2))) return `SQLSTATE ${code}`
  // Redis repeats the arguments of a command that it does not know.
  return error.message.replace(/, with args beginning with: .*/s, '')
}
