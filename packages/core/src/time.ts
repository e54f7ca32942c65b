/** Parses times in text: RFC 3339 and nothing else, to the microsecond, the precision of Postgres. */

/** RFC 3339, 5.6: `T` and `Z` in either case, an offset with its colon. */
const FORM =
  /^(\d{4})-(0[1-9]|1[0-2])-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/i

/** The calendar repeats itself after this many years. Date.UTC maps years below 100 to the 1900s. */
const CYCLE_YEARS = 400
const CYCLE_MS = 146_097 * 86_400_000

const FIRST_MS = Date.parse('0001-01-01T00:00:00Z')
const END_MS = Date.parse('9999-12-31T23:59:59.999Z') + 1

/** A time, or what is wrong with its text. */
export type ReadTime = { time: string; fault?: undefined } | { time?: undefined; fault: string }

/**
 * Parses a time. `time` is the same time in UTC: `2026-01-01T00:00:00.000Z`, or with six digits of a second if three
 * would lose some. A leap second, allowed only in the last minute of a month in UTC (RFC 3339, 5.7), becomes the second
 * after it, as in Postgres.
 */
export function readTime(text: string): ReadTime {
  const parts = FORM.exec(text)
  if (!parts) return { fault: 'is no time as in RFC 3339, such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00.5+01:00' }
  const [, year, month, day, hour, minute, second, fraction = '', sign, hours, minutes] = parts
  if (Number(day) < 1 || Number(day) > daysIn(Number(year), Number(month)))
    return { fault: 'is of a day that there is not' }
  const offset = sign === undefined ? 0 : (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60_000 : 60_000)
  const whole =
    Date.UTC(Number(year) + CYCLE_YEARS, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) -
    CYCLE_MS -
    offset
  if (second === '60' && !isStartOfMonth(whole)) {
    return { fault: 'has a second 60, which only the last minute of a month in UTC may have' }
  }
  if (whole < FIRST_MS || whole >= END_MS) return { fault: 'is no moment between the years 1 and 9999' }
  if (fraction.length > 6 && /[1-9]/.test(fraction.slice(6))) {
    return { fault: 'has more than six digits of a second, and no more are kept' }
  }
  const digits = fraction.slice(0, 6).padEnd(6, '0')
  const time = new Date(whole + Number(digits.slice(0, 3))).toISOString()
  return { time: digits.endsWith('000') ? time : `${time.slice(0, -1)}${digits.slice(3)}Z` }
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function isStartOfMonth(ms: number): boolean {
  return ms % 86_400_000 === 0 && new Date(ms).getUTCDate() === 1
}
