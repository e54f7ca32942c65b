/**
 * Handlers that fail in every way: events beside theirs are processed at once, and theirs become dead letters that say
 * what the handler did. Nothing remains of what they did to their transactions.
 */
import { readFile } from 'node:fs/promises'
import { type AcceptedEvent, defineEvent, type Sql, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

type Handler = (event: AcceptedEvent<{ kind: string }>, tx: Sql) => unknown

const raise = (code: string) => (_: unknown, tx: Sql) =>
  tx.query(`DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '${code}'; END $$`)

/** At the COMMIT, by a deferred trigger. */
const raiseAtTheEnd = (code: string) => async (_: unknown, tx: Sql) => {
  await tx.query('INSERT INTO raised_at_the_end VALUES ($1)', [code])
}

const write = ({ id }: { id: string }, tx: Sql) => tx.query('INSERT INTO effects VALUES ($1)', [id])

/** The handler's action, the error class and the message of the dead letter. */
const KINDS: Record<string, [Handler, string, RegExp]> = {
  'a file that is not there': [() => readFile('/no/such'), 'Error', /^ENOENT/],
  'a service that is not there': [
    () => {
      const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
      throw Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' })
    },
    'AggregateError',
    /ECONNREFUSED/,
  ],
  'a lost connection of its own': [() => failing('Connection terminated unexpectedly'), 'Error', /^Connection term/],
  'a name that throws': [
    () => {
      throw Object.defineProperty(new Error('no name'), 'name', {
        get() {
          throw new Error('caught you')
        },
      })
    },
    'Error',
    /no name/,
  ],
  'nothing thrown': [() => Promise.reject(undefined), 'Error', /undefined/],
  'text that cannot be stored': [() => JSON.parse('\u0000'), 'SyntaxError', /\ufffd/],
  'XX000 for good': [raise('XX000'), 'error', /^raised/],
  '40001 for good': [raise('40001'), 'error', /^raised/],
  '55P03 for good': [raise('55P03'), 'error', /^raised/],
  '53400 for good': [raise('53400'), 'error', /^raised/],
  '57014 for good': [raise('57014'), 'error', /^raised/],
  '08006 for good': [raise('08006'), 'error', /^raised/],
  'a conflict in an error of its own': [
    (event, tx) => raise('40P01')(event, tx).catch(() => failing('wrapped')),
    'error',
    /^raised/,
  ],
  'a session that ends itself': [
    (_, tx) => tx.query('SELECT pg_terminate_backend(pg_backend_pid())'),
    'error',
    /terminating connection/,
  ],
  'a mistake in a statement': [(_, tx) => tx.query('SELECT FROM nowhere'), 'error', /"nowhere" does not exist/],
  'a value that Postgres refuses': [(_, tx) => tx.query(`SELECT 'x'::integer`), 'SQLSTATE 22P02', /invalid input/],
  'a caught error of a statement': [
    (_, tx) => tx.query('SELECT FROM nowhere').catch(() => {}),
    'RolledBackError',
    /^handle of 'bad' caught an error of its statement.*"nowhere"/,
  ],
  'a constraint that fails at the end': [
    async (_, tx) => {
      await tx.query('INSERT INTO deferred VALUES (1), (1)')
    },
    'SQLSTATE 23505',
    /duplicate key/,
  ],
  'an exception that is raised at the end': [raiseAtTheEnd('P0001'), 'error', /^raised/],
  'a conflict at the end, for good': [raiseAtTheEnd('40001'), 'error', /^raised/],
  ROLLBACK: [(_, tx) => tx.query('ROLLBACK'), 'TransactionMisuse', /^handle of 'bad' must.*ROLLBACK/],
  'ROLLBACK; BEGIN': [(_, tx) => tx.query('ROLLBACK; BEGIN'), 'TransactionMisuse', /ROLLBACK/],
  'COMMIT, then a throw': [
    async (_, tx) => {
      await tx.query('/* -- */ commit').catch(() => {})
      throw new Error('too late')
    },
    'TransactionMisuse',
    /COMMIT/,
  ],
  'ROLLBACK behind another statement': [(_, tx) => tx.query(`SELECT ';'; rollback`), 'TransactionMisuse', /ROLLBACK/],
  'SET search_path': [(_, tx) => tx.query('SET search_path = elsewhere'), 'TransactionMisuse', /use SET LOCAL/],
  'a statement in a forEach': [
    (event, tx) =>
      [1, 2].forEach(async () => {
        await write(event, tx)
        await write(event, tx)
      }),
    'MissingAwait',
    /^handle of 'bad' returned while a statement of tx was still running: await it$/,
  ],
  'a list of promises': [
    (event, tx) => [1, 2].map(async () => write(event, tx)),
    'MissingAwait',
    /^handle of 'bad': it returned a list of promises/,
  ],
  'a slow statement without await': [
    (_, tx) => void tx.query('SELECT pg_sleep(60)'),
    'MissingAwait',
    /still running: await it$/,
  ],
  'a statement that always takes too long': [
    (_, tx) => tx.query('SELECT pg_sleep(60)'),
    'Timeout',
    /^handle of 'bad' did not answer within 0.5 s$/,
  ],
  'a promise that never resolves': [
    () => new Promise(() => {}),
    'Timeout',
    /^handle of 'bad' did not answer within 0.5 s$/,
  ],
}

function failing(message: string): never {
  throw new Error(message)
}

/** Once set, all handlers are sound. */
let mended = false

const runKind: Handler = async (event, tx) => {
  if (mended) return write(event, tx)
  await tx.query(`INSERT INTO effects VALUES ('${event.id}')`)
  return KINDS[event.data.kind]![0](event, tx)
}

const fields = { schema: Type.Object({ kind: Type.String() }), retry: { attempts: 2, baseDelayMs: 10 } }

const definitions = [
  defineEvent({
    ...fields,
    type: 'sound',
    handle: async (event, tx) => {
      // Finds the table only with the correct search path.
      await write(event, tx)
    },
    prepare: async (tx) => {
      await tx.query('CREATE TABLE effects (event_id uuid)')
      await tx.query('CREATE TABLE deferred (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)')
      await tx.query('CREATE TABLE raised_at_the_end (code text)')
      await tx.query(`CREATE FUNCTION raise_it() RETURNS trigger LANGUAGE plpgsql AS
                      $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = NEW.code; END $$`)
      await tx.query(`CREATE CONSTRAINT TRIGGER raise_it AFTER INSERT ON raised_at_the_end DEFERRABLE INITIALLY DEFERRED
                      FOR EACH ROW EXECUTE FUNCTION raise_it()`)
    },
  }),
  defineEvent({ ...fields, type: 'bad', handle: runKind as never }),
  defineEvent({
    ...fields,
    type: 'stuck',
    retry: { attempts: 9, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 },
    handle: async (event, tx) => {
      if (!mended) await new Promise(() => {})
      await write(event, tx)
    },
  }),
]

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline(definitions, {
    EVENTFLOW_LANES: '1',
    EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '0.5',
    EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: '1',
  })
  await pipeline.startWorker()
  await pipeline.send([{ type: 'sound', data: { kind: 'the first' } }])
  await pipeline.drained()
})

afterAll(() => pipeline.stop())

const rowsOf = async (ids: readonly string[]) => {
  const { rows } = await pipeline.db.query(
    `SELECT status, error_class, message FROM events WHERE event_id = ANY($1) ORDER BY seq`,
    [ids],
  )
  return rows
}
const effectsOf = async (id: string) =>
  (await pipeline.db.query('SELECT FROM effects WHERE event_id = $1', [id])).rowCount

describe('an event whose handler meets', () => {
  test.each(Object.entries(KINDS))('%s', async (kind, [, errorClass, message]) => {
    const types = ['sound', 'bad', 'sound']
    const { items } = await pipeline.send(types.map((type) => ({ type, data: { kind } })))
    const [before, bad, after] = items.map(({ id }) => id!) as [string, string, string]
    const areDone = async () => (await rowsOf([before, after])).every(({ status }) => status === 'processed')
    const sentAt = performance.now()
    await until('its neighbours are processed', areDone)
    // A fraction of a second, except for the one that takes the maximum time.
    expect(performance.now() - sentAt).toBeLessThan(3_000)
    await until('it is dead', async () => (await rowsOf([bad]))[0].status === 'failed')
    const [letter] = await rowsOf([bad])
    expect(letter).toEqual({ status: 'failed', error_class: errorClass, message: expect.stringMatching(message) })
    expect([await effectsOf(before), await effectsOf(bad), await effectsOf(after)]).toEqual([1, 0, 1])
  })
})

test('one whose handler hangs can be skipped while it waits for a retry', async () => {
  const { items } = await pipeline.send([{ type: 'stuck', data: { kind: 'stuck' } }])
  const id = items[0]!.id!
  await until('it waits', async () => (await rowsOf([id]))[0].status === 'retrying')
  const skipped = await post(`${pipeline.url}/v1/waiting/${id}/skip`, { reason: 'in the way' })
  expect(skipped.status).toBe(200)
  expect(await rowsOf([id])).toMatchObject([{ status: 'failed', error_class: 'Skipped' }])
})

test('each is processed when the handler is repaired and the dead letters are replayed', async () => {
  mended = true
  await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: {} })
  const isReplayed = async () =>
    (await pipeline.db.query(`SELECT FROM events WHERE status <> 'processed'`)).rowCount === 0
  await until('all are processed', isReplayed)
  const { rows } = await pipeline.db.query('SELECT event_id FROM effects GROUP BY event_id HAVING count(*) <> 1')
  expect(rows).toEqual([])
})
