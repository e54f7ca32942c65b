/** The clock of a time zone: its offset from UTC at any time, and when the offset changes. All times in milliseconds. */
import { describeValue } from '../describe-value.js'

/** A time from which an offset applies. */
interface Change {
  from: number
  offset: number
}

export interface ZoneClock {
  /** What the clock of the zone shows, as the UTC time of the same date and time of day. */
  wallOf(time: number): number
  /** The changes of the offset in (after, until], the earliest first. */
  changesIn(after: number, until: number): Change[]
  /** The first time at which the clock shows `wall` or more. */
  firstAt(wall: number): number
}

const DAY = 86_400_000
/** No zone changes its offset twice within this time: the shortest time between two changes has been almost four days. */
const SPAN = 2 * DAY
/** Maximum remembered spans: about 55 years. */
const MAX_KNOWN = 10_000

/** Throws a TypeError that begins with `name` unless `timeZone` is a zone of the IANA database, such as `Europe/Berlin`. */
export function createZoneClock(name: string, timeZone: unknown): ZoneClock {
  const format = formatOf(name, timeZone)
  const known = new Map<number, Change[]>()

  const lookUp = (time: number) => shownAt(format, time) - time

  /** The offset at the start of a span, and the change inside it, if there is one. */
  function offsetsIn(span: number): Change[] {
    const found = known.get(span)
    if (found) return found
    let [from, to] = [span * SPAN, (span + 1) * SPAN]
    const offsets = [{ from, offset: lookUp(from) }]
    const next = lookUp(to)
    if (next !== offsets[0]!.offset) {
      while (to - from > 1_000) {
        const middle = from + Math.floor((to - from) / 2_000) * 1_000
        if (lookUp(middle) === next) to = middle
        else from = middle
      }
      offsets.push({ from: to, offset: next })
    }
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(span, offsets)
    return offsets
  }

  function offsetAt(time: number): number {
    return offsetsIn(Math.floor(time / SPAN)).findLast(({ from }) => from <= time)!.offset
  }

  function changesIn(after: number, until: number): Change[] {
    const changes: Change[] = []
    let current = offsetAt(after)
    for (let span = Math.floor(after / SPAN); span * SPAN <= until; span++) {
      for (const change of offsetsIn(span)) {
        if (change.from <= after || change.from > until || change.offset === current) continue
        changes.push(change)
        current = change.offset
      }
    }
    return changes
  }

  return {
    wallOf: (time) => time + offsetAt(time),
    changesIn,
    firstAt(wall) {
      // No offset is a whole day.
      const from = wall - DAY
      const pieces = [{ from, offset: offsetAt(from) }, ...changesIn(from, wall + DAY)]
      const shows = pieces.findIndex(({ offset }, i) => wall - offset < (pieces[i + 1]?.from ?? Infinity))
      return Math.max(pieces[shows]!.from, wall - pieces[shows]!.offset)
    },
  }
}

function shownAt(format: Intl.DateTimeFormat, time: number): number {
  const parts = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, value]))
  const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts[type])
  const year = parts.era === 'BC' ? 1 - part('year') : part('year')
  // Date.UTC maps years below 100 to the 1900s.
  const date = new Date(0).setUTCFullYear(year, part('month') - 1, part('day'))
  return date + ((part('hour') * 60 + part('minute')) * 60 + part('second')) * 1_000
}

function formatOf(name: string, timeZone: unknown): Intl.DateTimeFormat {
  const fields = { era: 'short', year: 'numeric', month: 'numeric', day: 'numeric' } as const
  const clock = { hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' } as const
  try {
    if (typeof timeZone === 'string') return new Intl.DateTimeFormat('en-US', { timeZone, ...fields, ...clock })
  } catch {}
  throw new TypeError(`${name} must be a time zone such as 'Europe/Berlin', not ${describeValue(timeZone)}`)
}
