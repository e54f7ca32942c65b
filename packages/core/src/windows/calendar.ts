/** Windows of the calendar in a time zone: hours, days, weeks and months. */
import { describeValue } from '../describe-value.js'
import { type Micros, microsOfMs, msOf, type Window } from './micros.js'
import { createZoneClock, type ZoneClock } from './zone-clock.js'

export type CalendarUnit = 'hour' | 'day' | 'week' | 'month'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Maximum remembered hours or days with their windows. */
const MAX_KNOWN = 10_000

/**
 * Returns the function that gives the window of a time. Throws a TypeError unless both arguments are right.
 *
 * A day begins when the clock of the zone first shows its date, so it has 23 or 25 hours when the offset changes, and it
 * need not begin at midnight. A week begins with its Monday, a month with its first day. An hour ends when the offset
 * changes, so it has at most 60 minutes, and an hour that the clock shows twice is two windows.
 */
export function calendarWindows(unit: unknown, timeZone: unknown): (time: Micros) => Window {
  if (!isUnit(unit)) {
    throw new TypeError(`calendar: the unit must be 'hour', 'day', 'week' or 'month', not ${describeValue(unit)}`)
  }
  const clock = createZoneClock('calendar: timeZone', timeZone)
  const step = unit === 'hour' ? HOUR : DAY
  const known = new Map<number, Window[]>()
  return (time) => {
    const ms = msOf(time)
    const place = Math.floor(ms / step)
    const near = known.get(place) ?? []
    const found = near.find(({ start, end }) => start <= time && time < end)
    if (found) return found
    const [start, end] = unit === 'hour' ? hourOf(clock, ms) : daysOf(clock, unit, ms)
    const window = Object.freeze({ start: microsOfMs(start), end: microsOfMs(end) })
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(place, [...near, window])
    return window
  }
}

const isUnit = (unit: unknown): unit is CalendarUnit =>
  unit === 'hour' || unit === 'day' || unit === 'week' || unit === 'month'

function hourOf(clock: ZoneClock, time: number): [start: number, end: number] {
  const wall = clock.wallOf(time)
  const start = time - (wall - Math.floor(wall / HOUR) * HOUR)
  const end = start + HOUR
  return [clock.changesIn(start, time).at(-1)?.from ?? start, clock.changesIn(time, end)[0]?.from ?? end]
}

function daysOf(clock: ZoneClock, unit: Exclude<CalendarUnit, 'hour'>, time: number): [start: number, end: number] {
  let first = beginningOf(unit, clock.wallOf(time))
  let start = clock.firstAt(first)
  for (;;) {
    first = following(unit, first)
    const end = clock.firstAt(first)
    if (end > time) return [start, end]
    // The clock was turned back over midnight: the date that it shows again is over.
    start = end
  }
}

/** Monday, 1970-01-05. */
const A_MONDAY = 4 * DAY

function beginningOf(unit: Exclude<CalendarUnit, 'hour'>, wall: number): number {
  if (unit === 'week') return A_MONDAY + Math.floor((wall - A_MONDAY) / (7 * DAY)) * 7 * DAY
  const day = Math.floor(wall / DAY) * DAY
  return unit === 'day' ? day : new Date(day).setUTCDate(1)
}

function following(unit: Exclude<CalendarUnit, 'hour'>, beginning: number): number {
  if (unit === 'month') return new Date(beginning).setUTCMonth(new Date(beginning).getUTCMonth() + 1)
  return beginning + (unit === 'week' ? 7 : 1) * DAY
}
