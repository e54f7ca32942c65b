/** What a test gets of an event that is settled. Apart from what reads it, so that users' types need no driver of Postgres. */
import type { Payload, Problem } from '@eventflow/sdk'

/** How long a wait may take. */
export interface WaitOptions {
  /** After this the wait fails with an error that says what state the event is in. Default 10,000. */
  timeoutMs?: number
}

/** What every settled event has. */
export interface Settled {
  /** The id under which EventFlow knows it. */
  id: string
  /** Its event type. */
  type: string
  /** Its ordering key. */
  key: string
  /** How often it was tried. */
  attempts: number
  /** The attempts that failed, in their order. */
  history: { attempt: number; at: string; component: string; errorClass: string; message: string }[]
  /** The data as it was sent. */
  data: Payload
}

/** An event that was processed: its handler's effects are in the database. */
export interface ProcessedEvent<Result = Payload> extends Settled {
  /** Its final state. */
  status: 'processed'
  /** The data with everything that enrichment added. */
  result: Result
}

/** An event that failed for good, with its dead letter. */
export interface FailedEvent extends Settled {
  /** Its final state. */
  status: 'failed'
  /** Why it failed. */
  failure: EventFailure
}

/** Why an event failed. */
export interface EventFailure {
  /** The step: `schema`, `enrich:…` with the enricher's name, `validate` or `handle`. */
  component: string
  /** `permanent`, or `transient` when the attempts were used up. */
  failureType: 'permanent' | 'transient'
  /** The name of the error, such as `RuleViolation` or `SQLSTATE 23514`. */
  errorClass: string
  /** The message of the error. */
  message: string
  /** What exactly is wrong, with JSON pointers into the data. */
  problems: readonly Problem[]
}

/** An event in its final state; `status` tells which. */
export type SettledEvent<Result = Payload> = ProcessedEvent<Result> | FailedEvent
