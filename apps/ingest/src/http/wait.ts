/** The parameter of requests that wait for something: the answer comes when it happens, or after that time. */
import { Type } from '@sinclair/typebox'

/** The longest a request may wait, in milliseconds. */
const MAX_WAIT_MS = 60_000

export const Wait = Type.Optional(Type.String({ pattern: '^\\d{1,6}(ms|s)$', examples: ['10s'] }))

/** Converts a text that matches the schema above. */
export function millisecondsOf(wait: string): number {
  const [, amount, unit] = /^(\d{1,6})(ms|s)$/.exec(wait)!
  return Math.min(Number(amount) * (unit === 's' ? 1_000 : 1), MAX_WAIT_MS)
}
