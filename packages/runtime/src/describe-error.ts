/** What a log may contain of an error: never data of an event that it quotes. */

import { isError, propertyOf } from '@eventflow/core'

/**
 * Classes of SQLSTATE whose messages are about the server, the session or the statement. The messages of all others,
 * such as 22 (`invalid input syntax for type integer: "…"`) and errors raised by a trigger, may quote values.
 */
const QUOTES_NOTHING = new Set(['08', '25', '28', '3D', '40', '42', '53', '54', '55', '57', '58', 'XX'])

/**
 * Type, message, code and stack. Leaves out the `detail` of Postgres, which quotes the row, and the arguments of a
 * command. The error may come from users' code and have properties of any kind.
 */
export function describeError(error: unknown) {
  if (!isError(error)) return { message: 'a value was thrown that is not an Error' }
  const text = (name: string) => {
    const value = propertyOf(error, name)
    return typeof value === 'string' ? value : undefined
  }
  const code = text('code')
  const type = text('name') ?? 'Error'
  const frames =
    text('stack')
      ?.split('\n')
      .filter((line) => /^ {4}at /.test(line)) ?? []
  const isOfPostgres = code !== undefined && propertyOf(error, 'severity') !== undefined
  const message = shortened(text('message') ?? '', type, isOfPostgres ? code : undefined)
  return { type, message, code, stack: [`${type}: ${message}`, ...frames].join('\n') }
}

const MAX_MESSAGE = 2_000

function shortened(message: string, type: string, sqlState: string | undefined): string {
  // JSON.parse quotes the text that it could not read.
  if (type === 'SyntaxError') return 'a text could not be parsed'
  if (sqlState !== undefined && !QUOTES_NOTHING.has(sqlState.slice(0, 2))) return `SQLSTATE ${sqlState}`
  // Redis repeats the arguments of an unknown command.
  return message.slice(0, MAX_MESSAGE).replace(/, with args beginning with: .*/s, '')
}
