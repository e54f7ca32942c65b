/** The events that the clients have sent, with all observations of each, and the check of its final state. */
import type { SentEvent } from './journal.js'
import type { Findings } from './verdict.js'

export interface KnownEvent extends SentEvent {
  /** The event that led to it, if no client has sent it. */
  cause?: KnownEvent
  op: number
  index: number
  /** When its first attempt began. */
  from: number
  /** When the first attempt that was answered as accepted ended. */
  ackedAt: number
  /** How often it was accepted as a new event: again when its id could be forgotten. */
  accepted: number
  /** When it was accepted the last time, and when retention has removed that row, by the clock of Postgres. */
  acceptedAt: number
  removedAt: number
  /** Its rows in `processed_events`. */
  processed: number
  /** Its rows in `failed_events`, except those of replayed letters. */
  letters: number
  /** Why it is dead. */
  dead: string | undefined
  skipped: boolean
  /** An operator has replayed it, or it was accepted again: it comes after later events. */
  again: boolean
  effects: number
  firstEffectAt: number
}

/** An event that is sent for the first time: the `index`th of a request of operation `op`, which began at `from`. */
export function newlySent(
  event: SentEvent,
  { op, index, from }: { op: number; index: number; from: number },
): KnownEvent {
  return {
    ...event,
    ...{ op, index, from, ackedAt: Number.POSITIVE_INFINITY },
    ...{ accepted: 0, acceptedAt: 0, removedAt: 0, processed: 0, letters: 0, dead: undefined },
    ...{ skipped: false, again: false, effects: 0, firstEffectAt: 0 },
  }
}

/**
 * An event that a consumer group has emitted, with the data of the one that led to it. It came at no time of the
 * clients, so their order says nothing about it.
 */
export function derivedFrom(cause: KnownEvent, { id, seq }: { id: string; seq: number }): KnownEvent {
  const { key, n } = cause
  const event = { id, key, n, mayDie: false, refusedByGroup: false }
  return { ...newlySent(event, { op: -seq, index: 0, from: 0 }), cause }
}

/**
 * Checks, once everything was drained, that an event has one final state for each time it was accepted, and the matching
 * effects.
 */
export function checkEnds(event: KnownEvent, findings: Findings): void {
  const { ackedAt, accepted, processed, letters, dead, effects, mayDie, skipped } = event
  if (Number.isFinite(ackedAt) && accepted === 0) {
    findings.add('lost', () => `${nameOf(event)} was accepted at ${seconds(ackedAt)} and is in no table`)
  }
  if (processed + letters < accepted) {
    findings.add('unsettled', () => `${nameOf(event)}, sent at ${seconds(event.from)}, has reached no end`)
  }
  if (processed > 0 && letters > 0 && processed + letters > Math.max(1, accepted)) {
    findings.add('two ends', () => `${nameOf(event)} is processed and dead (${dead})`)
  }
  if (dead !== undefined && !mayDie && !skipped) {
    findings.add('dead for no reason', () => `${nameOf(event)} is sound, and is dead: ${dead}`)
  }
  if (processed > effects) findings.add('effect lost', () => `${nameOf(event)} is processed and had no effect`)
  if (processed === 0 && effects > 0) {
    findings.add('effect without end', () => `${nameOf(event)} had effect ${event.firstEffectAt} and is not processed`)
  }
}

/** An event in the form in which people find it in the journal. */
export function nameOf({ id, key, n, op, cause }: KnownEvent): string {
  return `event ${n} of key ${key} (${id}, ${cause ? `derived from ${cause.id}` : `operation ${op}`})`
}

/** A time of the journal. */
export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`
}
