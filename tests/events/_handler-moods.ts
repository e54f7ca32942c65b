/** Misbehaviour of handlers in the fault tests, by the mood of the event. Its effect is written before. */
import { setTimeout as delay } from 'node:timers/promises'
import { PermanentError, type Sql } from '@eventflow/sdk'
import { type StepEvent, writeEffects } from './_step.js'

/** Events that failed once in this process, which may run several pipelines with the same ids one after the other. */
const failed = new Set<string>()

/** Fails the first attempt at an event in this process. */
export function failOnce({ id, acceptedAt }: Pick<StepEvent, 'id' | 'acceptedAt'>): void {
  const event = `${id} ${acceptedAt}`
  if (failed.has(event)) return
  failed.add(event)
  throw new Error('did not work this time')
}

const raise = (code: string) => (_: StepEvent, tx: Sql) =>
  tx.query(`DO $$ BEGIN RAISE EXCEPTION 'raised by a handler' USING ERRCODE = '${code}'; END $$`)

/** Runs after the event's effect is written. */
export const HANDLER_MOODS: Record<string, (event: StepEvent, tx: Sql) => unknown> = {
  'handler fails once': failOnce,
  'handler takes 6 ms': (_, tx) => tx.query('SELECT pg_sleep(0.006)'),
  'handler is flaky': () => {
    if (Math.random() < 0.5) throw new Error('did not work')
  },
  'handler throws': () => Promise.reject(new Error('never works')),
  'handler refuses': () => {
    throw new PermanentError('will not')
  },
  'handler refuses once': (event) => {
    try {
      failOnce(event)
    } catch (cause) {
      throw new PermanentError('will not this time', { cause })
    }
  },
  'handler throws no error': () => Promise.reject('a text'),
  'handler throws a trap': () => {
    throw Object.defineProperty(new Error('trap'), 'name', {
      get() {
        throw new Error('its name cannot be read')
      },
    })
  },
  'handler names the network': () => {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  },
  'handler breaks a value': (_, tx) => tx.query('SELECT $1::integer', ['no number']),
  'handler breaks a constraint': (_, tx) => tx.query('INSERT INTO effects (key) VALUES (NULL)'),
  'handler conflicts': raise('40001'),
  'handler finds a lock': raise('55P03'),
  'handler takes too long': async (_, tx) => {
    await tx.query('SET LOCAL statement_timeout = 100')
    await tx.query('SELECT pg_sleep(10)')
  },
  'handler idles': async (_, tx) => {
    await tx.query('SET LOCAL idle_in_transaction_session_timeout = 100')
    await delay(300) // longer than allowed
    await tx.query('SELECT 1')
  },
  'handler forgets an await': (_, tx) => {
    tx.query('SELECT pg_sleep(0.05)').catch(() => {})
  },
  'handler writes late': (event, tx) => {
    setTimeout(() => writeEffects([event], tx).catch(() => {}), 100) // its transaction is over by then
  },
  'handler swallows an error': async (_, tx) => {
    await tx.query('SELECT 1 / 0').catch(() => {})
  },
  'handler rolls back': (_, tx) => tx.query('ROLLBACK'),
  'handler commits': async (_, tx) => {
    await tx.query('COMMIT')
    throw new Error('after its own COMMIT')
  },
  'handler changes its data': (event) => {
    ;(event.data as { n: number }).n *= 100
    failOnce(event)
  },
  'handler never ends': () => new Promise(() => {}),
}

/** Answers of the rules that are not lists of problems. */
export const RULES_MOODS: Record<string, () => unknown> = {
  'rules answer true': () => true,
  'rules answer a promise': async () => [{ pointer: '/n', message: 'is not right' }],
}

/** Answers of the enricher that are not lists of additions. */
export const ENRICHER_MOODS: Record<string, () => unknown> = {
  'enricher answers a map': () => new Map(),
  'enricher rejects later': () => [Promise.reject(new PermanentError('rejected later'))],
}
