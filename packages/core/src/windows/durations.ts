/** Reads durations as users write them: `'30s'`, `'5m'`, `'12h'`, `'1d'`. */
import { describeValue } from '../describe-value.js'
import type { Micros } from './micros.js'

const FORM = /^(\d{1,15})(ms|s|m|h|d)$/
const UNITS: Readonly<Record<string, Micros>> = {
  ms: 1_000n,
  s: 1_000_000n,
  m: 60_000_000n,
  h: 3_600_000_000n,
  d: 86_400_000_000n,
}
/** A hundred years. */
const MAX_DAYS = 36_500n

/**
 * The microseconds of a duration: a whole number and `ms`, `s`, `m`, `h` or `d` (24 hours). Throws a TypeError that
 * begins with `name` unless it is from 1 ms, or from 0 if `zero` is given, to 36,500 days.
 */
export function readDuration(name: string, written: unknown, zero?: 'zero'): Micros {
  const [, count, unit] = (typeof written === 'string' && FORM.exec(written)) || []
  if (count === undefined) {
    throw new TypeError(`${name} must be a duration such as '30s', '5m', '12h' or '1d', not ${describeValue(written)}`)
  }
  const duration = BigInt(count) * UNITS[unit!]!
  if (duration === 0n && zero === undefined) throw new TypeError(`${name} must be longer than 0, not '${written}'`)
  if (duration > MAX_DAYS * UNITS.d!) throw new TypeError(`${name} must be at most '${MAX_DAYS}d', not '${written}'`)
  return duration
}

/** Throws a TypeError that begins with `name` unless `options` is an object that has only these members. */
export function requireOptions(name: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${name} needs an object with ${known.join(' and ')}, not ${describeValue(options)}`)
  }
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown !== undefined) throw new TypeError(`${name}: unknown option '${unknown}'`)
}
