/** Sessions of one key: which ones an event joins. */
import type { Micros } from './micros.js'
import type { SessionWindows } from './windows.js'

/** A session: the times of its first and of its last event. */
export interface SessionSpan {
  readonly first: Micros
  readonly last: Micros
}

/** Where an event belongs. */
export interface SessionPlace<Session extends SessionSpan> extends SessionSpan {
  /** The sessions that become one with the event, the earliest first: none, one or two. */
  joined: readonly Session[]
}

/** When a session closes: an event exactly `gap` after the last one still joins. A watermark from this time closes it. */
export const closesAt = ({ last }: SessionSpan, { gap }: SessionWindows): Micros => last + gap + 1n

/**
 * Finds the place of an event among the sessions of its key; `undefined` if it is late: its session would have been
 * closed by the watermark that the event meets. Sessions that this watermark has closed are ignored, whether or not
 * they were removed.
 *
 * The event becomes part of the session around it. Otherwise it joins those that end or begin at most `gap` away. If
 * they would be longer than `max` together, it joins the earlier one, or else the later one, or else none.
 */
export function placeInSession<Session extends SessionSpan>(
  sessions: readonly Session[],
  time: Micros,
  watermark: Micros | undefined,
  windows: SessionWindows,
): SessionPlace<Session> | undefined {
  const isOpen = (session: SessionSpan) => watermark === undefined || watermark < closesAt(session, windows)
  const open = sessions.filter(isOpen).sort((a, b) => (a.first < b.first ? -1 : 1))
  const before = open.findLast(({ first }) => first <= time)
  const after = open.find(({ first }) => first > time)
  const choices =
    before !== undefined && time <= before.last
      ? [[before]]
      : [[before, after], [before], [after]].map((choice) => choice.filter((session) => session !== undefined))
  for (const joined of choices) {
    if (joined.length === 0) continue
    const place = placeWith(joined, time)
    if (joined.every((session) => isWithin(session, time, windows.gap)) && !isTooLong(place, windows)) return place
  }
  const alone = placeWith<Session>([], time)
  return isOpen(alone) ? alone : undefined
}

function placeWith<Session extends SessionSpan>(joined: readonly Session[], time: Micros): SessionPlace<Session> {
  const first = joined[0] && joined[0].first < time ? joined[0].first : time
  const last = joined.at(-1)
  return { joined, first, last: last && last.last > time ? last.last : time }
}

/** Whether a time is in a session, or at most `gap` away. */
const isWithin = ({ first, last }: SessionSpan, time: Micros, gap: Micros) => first - gap <= time && time <= last + gap

const isTooLong = ({ first, last }: SessionSpan, { max }: SessionWindows) => max !== undefined && last - first > max
