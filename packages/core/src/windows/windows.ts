/** Windows of event time: which ones an event belongs to. */
import { branded, hasBrand } from '../brand.js'
import { type CalendarUnit, calendarWindows } from './calendar.js'
import { readDuration, requireOptions } from './durations.js'
import { floorTo, later, type Micros, type Window } from './micros.js'

/**
 * Windows whose bounds depend on nothing but the time. They consist of panes, which do not overlap: a window's events
 * are those of its panes, so an event is counted once, however many windows it belongs to.
 */
export interface FixedWindows {
  readonly kind: 'tumbling' | 'hopping' | 'calendar'
  /** Equal if and only if the windows are the same. */
  readonly signature: string
  /** How many panes a window has. */
  readonly panes: number
  /** The pane that a time belongs to. */
  paneOf(time: Micros): Window
  /** The windows that contain a pane, the earliest first; at least one. */
  windowsOf(pane: Window): Window[]
  /**
   * The earliest window that contains a pane and that a watermark has not passed; `undefined` if it has passed all of
   * them. An event is late for the windows before this one. Those may not have been closed yet, so the state of a pane
   * is kept separately for each answer: a window counts the events of its panes whose answer is not after it.
   */
  firstOpen(pane: Window, watermark: Micros | undefined): Window | undefined
}

/** Windows that each key has at times of its own. */
export interface SessionWindows {
  readonly kind: 'session'
  readonly signature: string
  readonly gap: Micros
  /** The longest time between the first and the last event of a session. */
  readonly max: Micros | undefined
}

/** What `tumbling`, `hopping`, `calendar` and `session` return. */
export type Windows = FixedWindows | SessionWindows

const WINDOWS = Symbol.for('eventflow.windows')

/** Whether one of these functions made the value. */
export const isWindows = (value: unknown): value is Windows => hasBrand(WINDOWS, value)

/** A day by minutes. */
const MAX_PANES = 1_440n

/**
 * Windows of one size, one after the other: `tumbling('5m')`. They are aligned to 1970-01-01T00:00:00Z, so windows of
 * seven days begin on Thursdays; `calendar('week', …)` has weeks.
 *
 * Throws a TypeError unless the size is a duration.
 */
export function tumbling(size: string): FixedWindows {
  const length = readDuration('tumbling: the size', size)
  return undivided('tumbling', `tumbling ${length}`, (time) => {
    const start = floorTo(time, length)
    return { start, end: start + length }
  })
}

/**
 * Windows of one size that begin at regular times, and overlap: `hopping('1h', { every: '5m' })`. The beginnings are
 * aligned to 1970-01-01T00:00:00Z.
 *
 * Throws a TypeError unless both are durations, `every` is not longer than the size, and their greatest common divisor
 * divides the size into at most 1,440 parts.
 */
export function hopping(size: string, options: { every: string }): FixedWindows {
  const length = readDuration('hopping: the size', size)
  requireOptions('hopping', options, ['every'])
  const every = readDuration('hopping: every', options.every)
  if (every > length) {
    throw new TypeError(`hopping: every ('${options.every}') must not be longer than the size ('${size}')`)
  }
  const part = greatestDivisor(length, every)
  if (length / part > MAX_PANES) {
    const parts = `${length / part} parts, the greatest common divisor of the size and of every ('${options.every}')`
    throw new TypeError(`hopping: the size ('${size}') must have at most ${MAX_PANES} parts, not ${parts}`)
  }
  const windowAt = (start: Micros) => ({ start, end: start + length })
  /** The earliest window that ends after a time. */
  const firstAfter = (time: Micros) => floorTo(time - length, every) + every
  return branded<FixedWindows>(WINDOWS, {
    kind: 'hopping',
    signature: `hopping ${length} every ${every}`,
    panes: Number(length / part),
    paneOf: (time) => {
      const start = floorTo(time, part)
      return { start, end: start + part }
    },
    windowsOf: (pane) => {
      const windows: Window[] = []
      for (let start = firstAfter(pane.start); start <= pane.start; start += every) windows.push(windowAt(start))
      return windows
    },
    firstOpen: (pane, watermark) => {
      const first = firstAfter(watermark === undefined ? pane.start : later(pane.start, watermark))
      return first <= pane.start ? windowAt(first) : undefined
    },
  })
}

/**
 * Windows of the calendar of a time zone: `calendar('day', { timeZone: 'Europe/Berlin' })`. A day has 23 or 25 hours
 * when the clock changes; weeks begin on Mondays.
 *
 * Throws a TypeError unless the unit is `hour`, `day`, `week` or `month`, and the time zone is in the IANA database.
 */
export function calendar(unit: CalendarUnit, options: { timeZone: string }): FixedWindows {
  requireOptions('calendar', options, ['timeZone'])
  const { timeZone } = options
  return undivided('calendar', `calendar ${unit} ${timeZone}`, calendarWindows(unit, timeZone))
}

/**
 * Windows of activity, for each key: an event joins the session that has an event at most `gap` away, and a session
 * ends when there is none. With `max`, the first and the last event of a session are at most so far apart:
 * `session({ gap: '30m', max: '12h' })`.
 *
 * Throws a TypeError unless both are durations.
 */
export function session(options: { gap: string; max?: string }): SessionWindows {
  requireOptions('session', options, ['gap', 'max'])
  const gap = readDuration('session: gap', options.gap)
  const max = options.max === undefined ? undefined : readDuration('session: max', options.max)
  return branded<SessionWindows>(WINDOWS, { kind: 'session', signature: `session ${gap} max ${max}`, gap, max })
}

/** Windows that are panes. */
function undivided(kind: FixedWindows['kind'], signature: string, windowOf: (time: Micros) => Window): FixedWindows {
  return branded<FixedWindows>(WINDOWS, {
    kind,
    signature,
    panes: 1,
    paneOf: windowOf,
    windowsOf: (pane) => [pane],
    firstOpen: (pane, watermark) => (watermark === undefined || watermark < pane.end ? pane : undefined),
  })
}

function greatestDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestDivisor(b, a % b)
}
