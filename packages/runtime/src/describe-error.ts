/** What a log may say of an error: never what it quotes of an event. */

import { isError, propertyOf } from '@eventflow/core'

/**
 * Classes of SQLSTATE whose messages speak of the server, the session or the statement. The messages of all others, such as
 * 22 (`invalid input syntax for type integer: "…"`) and what a trigger raises, may quote values.
 */
const QUOTES_NOTHING = new Set(['08', '25', '28', '3D', '40', '42', '53', '54', '55', '57', '58', 'XX'])

/**
 * Type, message, code and stack. Not the `detail` of Postgres, which quotes the row, nor the arguments of a command. The error may be
 * one of users' code, whose properties may be anything.
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
  // JSON.parse quotes what it could not read.
  if (type === 'SyntaxError') return 'a text could not be parsed'
  if (sqlState !== undefined && !QUOTES_NOTHING.has(sqlState.slice(0, 2))) return `SQLSTATE ${sqlState}`
  // Redis repeats the arguments of a command that it does not know.
  return message.slice(0, MAX_MESSAGE).replace(/, with args beginning with: .*/s, '')
}
