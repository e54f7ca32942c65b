/** Numbers of JSON texts that JavaScript cannot hold: which ones they are, and how to read them all the same. */

/** With more digits a number is not looked at any closer: it is not exact. */
const MAX_DIGITS = 100

/**
 * Whether a number, as it is written in JSON, means the same after JSON.parse. A whole number without an exponent must be within
 * ±(2^53 - 1), where every one is kept; any other must be what its double gives when it is printed with as many digits, or with as
 * few as identify it: where the exact value lies in the middle between two numbers of 17 digits, those are not the same.
 */
export function isExactNumber(number: string): boolean {
  const value = Number(number)
  if (/^-?\d+$/.test(number)) return Number.isSafeInteger(value)
  const digits = significantDigits(number)
  if (digits === '') return true
  if (value === 0 || !Number.isFinite(value) || digits.length > MAX_DIGITS) return false
  return [digits.length - 1, undefined].some((more) => significantDigits(value.toExponential(more)) === digits)
}

/** `1250` and `-0.0125e7` both give `125`. */
function significantDigits(number: string): string {
  const digits = number.replace(/[eE].*$|[-.]/g, '').replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return digits.slice(0, end)
}

/** What a text of JSON has in it where one of its numbers may not be exact: many digits, or an exponent. */
const DOUBTFUL = /[\d.]{16}|\d[eE]/

/** A string, or a number. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.]*(?:[eE][+-]?\d+)?/g

/** As JSON.parse, but a number that JavaScript would change arrives as its text: `9007199254740993` as `"9007199254740993"`. */
export function parseKeepingDigits(json: string): unknown {
  if (!DOUBTFUL.test(json)) return JSON.parse(json)
  // Checked first: what is no JSON must not become it.
  const value: unknown = JSON.parse(json)
  let changed = false
  const exact = json.replace(TOKEN, (token) => {
    if (token.startsWith('"') || isExactNumber(token)) return token
    changed = true
    return `"${token}"`
  })
  return changed ? JSON.parse(exact) : value
}
