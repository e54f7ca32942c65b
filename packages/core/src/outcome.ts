/** The outcome of a delivered event: a union that is returned, never thrown. */
import type { AcceptedEvent, Payload } from './event.js'
import type { Problem } from './failure.js'

/** An event delivered to a worker. */
export interface Delivery {
  event: AcceptedEvent
  /** Its data as the JSON text that was stored. */
  payload: string
  /** The stream entries that delivered it, to be acknowledged when it is settled. */
  entryIds: string[]
  /** Attempts before this one. */
  attempts: number
  /** Their failures, oldest first. */
  history: Attempt[]
  /** How often a worker process died while it ran this event alone. */
  crashes: number
  /** How often in a row its handler failed and the database server was blamed: no attempt was charged. */
  excused?: number
  /** The schema version to read it as, overriding its own: requested by a replay. */
  schemaVersion?: number
  /** It has a row in `retries`, to be deleted when it is settled. */
  inRetries: boolean
  /** It was processed before, and keeps its place in the log. */
  inLog?: boolean
}

/**
 * The step in which an event failed, in the order of the steps. `enrich:` is followed by the name of the enricher, and
 * `worker` means that the event ended its worker. `key` fails an event before it is accepted, so no dead letter has it;
 * the dead letter of a skipped event has `operator`.
 */
export type Component =
  | 'key'
  | 'definition'
  | 'schema'
  | 'upcast'
  | `enrich:${string}`
  | 'validate'
  | 'handle'
  | 'settle'
  | 'worker'

/** One failed attempt, as it is kept in `history`; or the mark of a replay. */
export interface Attempt {
  /** From 1; 0 marks a replay, after which attempts count from 1 again. */
  attempt: number
  /** RFC 3339. */
  at: string
  component: Component | 'replay'
  errorClass: string
  message: string
}

/** Why an event failed. */
export interface Failure {
  component: Component
  failureType: 'permanent' | 'transient' | 'unavailable'
  errorClass: string
  message: string
  problems: Problem[]
}

export interface Processed {
  kind: 'processed'
  delivery: Delivery
  /** The event's data and the enrichers' additions. */
  data: Payload
  /** The same as JSON text. Additions come last, and the last of duplicate names wins, as in `jsonb`. */
  payload: string
}

export interface Retry {
  kind: 'retry'
  delivery: Delivery
  failure: Failure
  /** Milliseconds from now until the next attempt. */
  delayMs: number
}

export interface Failed {
  kind: 'failed'
  delivery: Delivery
  failure: Failure
}

/** A dependency is down: nothing is written, no attempt is charged, and the event stays with its worker. */
export interface Wait {
  kind: 'wait'
  delivery: Delivery
  failure: Failure
  delayMs: number
}

export type Outcome = Processed | Retry | Failed | Wait
