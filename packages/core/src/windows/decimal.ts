/** Exact arithmetic with decimal numbers of any size, as texts without an exponent: `'0.3'`, `'-12'`. */
import { isExactNumber } from '../exact-number.js'

/** The number `units` / 10^`scale`. */
interface Scaled {
  units: bigint
  scale: number
}

/** Maximum digits of a given number on each side of the point: every double has fewer. */
const MAX_DIGITS = 400
const FORM = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/

/**
 * The decimal number that a value stands for: a finite number, a BigInt, or a text such as `'12.50'` or `'1e3'`. A
 * number counts as the shortest decimal that identifies it: 0.1 is exactly 0.1. `undefined` for any other value, and for
 * more than 400 digits before or after the point.
 */
export function readDecimal(value: unknown): string | undefined {
  if (typeof value !== 'number' && typeof value !== 'bigint' && typeof value !== 'string') return undefined
  const text = String(value)
  // The text of a number has no zeros to remove. Most have no exponent either.
  if (typeof value === 'number' && /^[-\d.]+$/.test(text)) return text
  const parts = text.length <= 3 * MAX_DIGITS ? FORM.exec(text) : null
  if (!parts) return undefined
  const [, sign, whole, fraction = '', exponent = '0'] = parts
  const units = BigInt(whole! + fraction)
  const scale = fraction.length - Number(exponent)
  if (units === 0n) return '0'
  const written = write({ units: sign === '-' ? -units : units, scale })
  return written
    .replace('-', '')
    .split('.')
    .every((digits) => digits.length <= MAX_DIGITS)
    ? written
    : undefined
}

export function addDecimals(a: string, b: string): string {
  const [left, right] = aligned(a, b)
  return write({ units: left.units + right.units, scale: left.scale })
}

/** Negative if `a` is the lower number, positive if `b` is, 0 if they are equal. */
export function compareDecimals(a: string, b: string): number {
  const [left, right] = aligned(a, b)
  return left.units < right.units ? -1 : left.units > right.units ? 1 : 0
}

/** Divides by a whole number from 1, rounded to so many significant digits; halves are rounded away from 0. */
export function divideDecimal(dividend: string, divisor: number, digits: number): string {
  const { units, scale } = read(dividend)
  const by = BigInt(divisor)
  const positive = units < 0n ? -units : units
  // Enough digits more for the quotient to have as many as are asked for.
  const more = Math.max(0, digits + String(by).length - String(positive).length)
  const scaled = positive * 10n ** BigInt(more)
  const quotient = scaled / by
  const over = Math.max(0, String(quotient).length - digits)
  const rounded = roundedQuotient(scaled, by * 10n ** BigInt(over)) * 10n ** BigInt(over)
  return write({ units: units < 0n ? -rounded : rounded, scale: scale + more })
}

/** As a number if JavaScript keeps it exactly, otherwise as its text. */
export function decimalForJson(decimal: string): number | string {
  return isExactNumber(decimal) ? Number(decimal) : decimal
}

const roundedQuotient = (a: bigint, b: bigint) => (2n * a + b) / (2n * b)

function read(decimal: string): Scaled {
  const point = decimal.indexOf('.')
  if (point === -1) return { units: BigInt(decimal), scale: 0 }
  return { units: BigInt(decimal.slice(0, point) + decimal.slice(point + 1)), scale: decimal.length - point - 1 }
}

function aligned(a: string, b: string): [Scaled, Scaled] {
  const [left, right] = [read(a), read(b)]
  const scale = Math.max(left.scale, right.scale)
  const at = ({ units, scale: own }: Scaled) => ({
    units: own === scale ? units : units * 10n ** BigInt(scale - own),
    scale,
  })
  return [at(left), at(right)]
}

/** Without zeros at the end of a fraction; 0 has no sign. */
function write({ units, scale }: Scaled): string {
  if (scale <= 0) return String(units * 10n ** BigInt(-scale))
  const sign = units < 0n ? '-' : ''
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0')
  const fraction = digits.slice(-scale).replace(/0+$/, '')
  return `${sign}${digits.slice(0, -scale)}${fraction && `.${fraction}`}`
}
