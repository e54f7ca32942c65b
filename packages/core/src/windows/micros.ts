/** Times to the microsecond, as whole numbers: a double counts the microseconds of only 285 years exactly. */

/** Microseconds since 1970-01-01T00:00:00Z, negative before. */
export type Micros = bigint

/** A range of time: `start` belongs to it, `end` does not. */
export interface Window {
  start: Micros
  end: Micros
}

/** The form of `readTime`. */
const FORM = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z$/

/** Reads a time in the form of `readTime`, as accepted events have it. Throws a RangeError for another text. */
export function microsOf(time: string): Micros {
  if (!FORM.test(time)) throw new RangeError(`${JSON.stringify(time)} is no time such as 2026-01-31T12:00:00.000Z`)
  // Date.parse drops the digits after the third.
  return microsOfMs(Date.parse(time)) + BigInt(time.length === 27 ? Number(time.slice(23, 26)) : 0)
}

/** The time in the form of `readTime`. Years before 0 and beyond 9999 have six digits and a sign. */
export function timeOf(time: Micros): string {
  const text = new Date(msOf(time)).toISOString()
  const rest = remainder(time, 1_000n)
  return rest === 0n ? text : `${text.slice(0, -1)}${String(rest).padStart(3, '0')}Z`
}

export const microsOfMs = (ms: number): Micros => BigInt(ms) * 1_000n

/** Whole milliseconds, rounded down. */
export const msOf = (time: Micros) => Number((time - remainder(time, 1_000n)) / 1_000n)

/** The highest multiple of `size` that is not above `time`, also before 1970. */
export const floorTo = (time: Micros, size: Micros): Micros => time - remainder(time, size)

/** From 0 to below `size`: the operator % has the sign of its left side. */
function remainder(time: Micros, size: Micros): Micros {
  const rest = time % size
  return rest < 0n ? rest + size : rest
}

export const earlier = (a: Micros, b: Micros): Micros => (a < b ? a : b)
export const later = (a: Micros, b: Micros): Micros => (a > b ? a : b)
