/** Waiting until an event is settled, by asking the database for its state. */
import { setTimeout as delay } from 'node:timers/promises'
import { asSql, type Queryable } from '@eventflow/db'
import type { Payload, Problem } from '@eventflow/sdk'
import type { EventFailure, Settled, SettledEvent, WaitOptions } from './settled-event.js'

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
