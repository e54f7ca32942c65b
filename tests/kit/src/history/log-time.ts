/** Event time as a window or a join must have seen it, entry by entry, by the definition. It shares no code with the engine. */
import { later } from '@eventflow/core'
import type { LogHistory, MarkRow, WindowEntry } from './window-rows.js'

/** Event time of a partition. */
export interface Time {
  watermark?: bigint | undefined
  seen?: bigint
  hold?: bigint | undefined
  lastAccepted?: bigint
}

/** A late event, with the watermark that it met. */
export interface Late {
  entry: WindowEntry
  watermark: bigint
}

interface Settings {
  outOfOrderness: bigint
  idle: bigint
}

export type Log = Pick<LogHistory, 'cursors' | 'entries' | 'marks' | 'idle'>

/**
 * Passes the log as far as it was read. `meet` is called with each event, and the watermark that it meets. Returns the
 * time of each partition then.
 */
export function passLog(
  { outOfOrderness }: Pick<Settings, 'outOfOrderness'>,
  log: Log,
  meet: (entry: WindowEntry, watermark: bigint | undefined) => void,
): Map<number, Time> {
  const times = new Map<number, Time>()
  const partitions = new Map(log.cursors.map((cursor) => [cursor.partition, cursor]))
  for (const step of [...log.entries, ...log.marks].sort((a, b) => a.position - b.position)) {
    const { partition, position } = step
    const cursor = partitions.get(partition)
    if (!cursor || position > cursor.position) continue
    const time = times.get(partition) ?? {}
    if ('kind' in step) passMark(time, step, position <= cursor.began, { outOfOrderness, idle: log.idle })
    else {
      if (position <= cursor.began) continue
      meet(step, time.watermark)
      passEvent(time, step, outOfOrderness)
    }
    times.set(partition, time)
  }
  return times
}

function passMark(time: Time, { kind, at, seenSince }: MarkRow, isBefore: boolean, spec: Settings): void {
  if (kind === 'release') delete time.hold
  if (kind === 'hold') time.hold = at!
  if (isBefore) return
  if (kind === 'tick') {
    if (time.lastAccepted === undefined) return
    if (at! - later(time.lastAccepted, seenSince!) < spec.idle) return
    if (time.seen === undefined || at! > time.seen) time.seen = at!
  }
  rise(time, spec.outOfOrderness)
}

function passEvent(time: Time, { occurred, accepted }: WindowEntry, outOfOrderness: bigint): void {
  const shown = occurred < accepted ? occurred : accepted
  if (time.seen === undefined || shown > time.seen) time.seen = shown
  if (time.lastAccepted === undefined || accepted > time.lastAccepted) time.lastAccepted = accepted
  rise(time, outOfOrderness)
}

function rise(time: Time, outOfOrderness: bigint): void {
  if (time.seen === undefined) return
  const free = time.seen - outOfOrderness
  const reached = time.hold !== undefined && time.hold < free ? time.hold : free
  if (time.watermark === undefined || reached > time.watermark) time.watermark = reached
}
