/** Event time as a window or a join sees it, for a tenant in a partition. */
import {
  type AcceptedEvent,
  advance,
  type LogEntryTime,
  later,
  type Micros,
  microsOf,
  NO_WATERMARK,
  type Watermark,
} from '@eventflow/core'
import type { LogMark } from '@eventflow/db'

/** How time passes, by the definition. */
export interface TimeSettings {
  outOfOrderness: Micros
  /** A tick counts after so much time without events of the group; `undefined`: no tick counts. */
  idle: Micros | undefined
}

export interface GroupTime extends Watermark {
  /** When the last event of the group was accepted. */
  readonly lastAccepted: Micros | undefined
}

export const NO_TIME: GroupTime = Object.freeze({ ...NO_WATERMARK, lastAccepted: undefined })

/** The time after an event of the group. The event itself meets the time before it. */
export function afterEvent(
  time: GroupTime,
  { occurredAt, acceptedAt }: Pick<AcceptedEvent, 'occurredAt' | 'acceptedAt'>,
  { outOfOrderness }: TimeSettings,
): GroupTime {
  const accepted = microsOf(acceptedAt)
  const occurred = microsOf(occurredAt)
  const lastAccepted = later(time.lastAccepted ?? accepted, accepted)
  return { ...advance(time, { kind: 'event', occurred, accepted }, outOfOrderness), lastAccepted }
}

/**
 * The time after a mark of the log. A tick counts if it proves that the group's events have paused: it depends on
 * nothing but the log, so a group that reads the log again sees the same.
 */
export function afterMark(time: GroupTime, mark: LogMark, { outOfOrderness, idle }: TimeSettings): GroupTime {
  const { lastAccepted } = time
  if (mark.kind === 'tick') {
    if (idle === undefined || lastAccepted === undefined) return time
    const quietSince = later(lastAccepted, mark.seenSince!)
    if (mark.at! - quietSince < idle) return time
  }
  const entry: LogEntryTime = mark.kind === 'release' ? { kind: 'release' } : { kind: mark.kind, at: mark.at! }
  return { ...advance(time, entry, outOfOrderness), lastAccepted }
}
