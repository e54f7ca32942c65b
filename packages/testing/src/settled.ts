/** Waiting until an event is settled, by asking the database for its state. */
import { setTimeout as delay } from 'node:timers/promises'
import { asSql, type Queryable } from '@eventflow/db'
import type { Payload, Problem } from '@eventflow/sdk'

/** How long a wait may take. */
export interface WaitOptions {
  /** After this the wait fails with an error that says what state the event is in. Default 10,000. */
  timeoutMs?: number
}

/** What every settled event has. */
interface Settled {
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

const POLL_MS = 10
const DEFAULT_TIMEOUT_MS = 10_000

/** Waits until the event is settled. Fails at once when no such event was accepted. */
export async function waitUntilSettled(
  db: Queryable,
  id: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS }: WaitOptions = {},
): Promise<SettledEvent> {
  for (const deadline = performance.now() + timeoutMs; ; await delay(POLL_MS)) {
    const row = await findEvent(db, id)
    if (!row) throw new Error(`no event with the id ${id} was accepted`)
    const event = settledOf(row)
    if (event) return event
    if (performance.now() > deadline) throw new Error(`event ${id} was not settled in ${timeoutMs} ms: ${stateOf(row)}`)
  }
}

/** The failure in one line. */
export function describeFailure({ component, errorClass, message }: EventFailure): string {
  return `${component}: ${errorClass}: ${message}`
}

/** A row of the view `events`. */
interface Row extends Omit<Settled, 'history'> {
  status: string
  history: Settled['history'] | null
  result: Payload | null
  failure_type: EventFailure['failureType']
  error_class: string
  message: string
  errors: readonly Problem[] | null
  component: string
}

async function findEvent(db: Queryable, id: string): Promise<Row | undefined> {
  const [row] = await asSql(db).query<Row>(
    `SELECT event_id AS id, type, key, status, attempts, history, payload AS data, result,
            failure_type, error_class, message, errors, component
     FROM events WHERE tenant_id = 'default' AND event_id = $1`,
    [id],
  )
  return row
}

function settledOf(row: Row): SettledEvent | undefined {
  const { id, type, key, attempts, history, data } = row
  const event = { id, type, key, attempts, history: history ?? [], data }
  if (row.status === 'processed') return { ...event, status: 'processed', result: row.result! }
  if (row.status !== 'failed') return undefined
  const { component, failure_type: failureType, error_class: errorClass, message, errors } = row
  return {
    ...event,
    status: 'failed',
    failure: { component, failureType, errorClass, message, problems: errors ?? [] },
  }
}

/** The state of an event that is not settled, with its last failed attempt. */
function stateOf({ type, status, attempts, history }: Row): string {
  const last = history?.at(-1)
  const why = last ? `, the last one in ${describeFailure(last as unknown as EventFailure)}` : ''
  return `${type} is ${status} after ${attempts} failed ${attempts === 1 ? 'attempt' : 'attempts'}${why}`
}
