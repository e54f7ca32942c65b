/** Finds numbers in JSON texts that JavaScript cannot represent, and reads them without loss. */

/** A number with more digits is taken to be inexact without a closer look. */
const MAX_DIGITS = 100

/**
 * Whether a number, as written in JSON, keeps its meaning through JSON.parse. An integer without an exponent must be
 * within ±(2^53 - 1), where every one is exact. Any other number must equal its double printed with the same number of
 * digits, or with the fewest that identify it; the two differ when the exact value lies halfway between two numbers of
 * 17 digits.
 */
export function isExactNumber(number: string): boolean {
  const value = Number(number)
  if (/^-?\d+$/.test(number)) return Number.isSafeInteger(value)
  const digits = significantDigits(number)
  if (digits === '') return true
  if (value === 0 || !Number.isFinite(value) || digits.length > MAX_DIGITS) return false
  return [digits.length - 1, undefined].some((more) => significantDigits(value.toExponential(more)) === digits)
}

/** The digits without sign, point, exponent and outer zeros: `1250` and `-0.0125e7` both give `125`. */
function significantDigits(number: string): string {
  const digits = number.replace(/[eE].*$|[-.]/g, '').replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return digits.slice(0, end)
}

/** Matches any JSON text that may hold an inexact number: many digits, or an exponent. */
const DOUBTFUL = /[\d.]{16}|\d[eE]/

/** A string or a number of a JSON text. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.]*(?:[eE][+-]?\d+)?/g

/**
 * As JSON.parse, but a number that JavaScript would change arrives as its text: `9007199254740993` becomes
 * `"9007199254740993"`.
 */
export function parseKeepingDigits(json: string): unknown {
  if (!DOUBTFUL.test(json)) return JSON.parse(json)
  // Parsed first, so that the replacement below cannot turn invalid JSON into valid JSON.
  const value: unknown = JSON.parse(json)
  let changed = false
  const exact = json.replace(TOKEN, (token) => {
    if (token.startsWith('"') || isExactNumber(token)) return token
    changed = true
    return `"${token}"`
  })
  return changed ? JSON.parse(exact) : value
}
