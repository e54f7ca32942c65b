/**
 * Errors of our own connections and statements while a batch is settled are not its events' fault: they wait, and are
 * processed.
 */
import { defineEvent, Type } from '@eventflow/sdk'
import { administer, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const noted = defineEvent({ type: 'note.taken', schema: Type.Object({}) })
const counted = defineEvent({
  type: 'step.done',
  schema: Type.Object({}),
  enrich: [
    {
      name: 'last before settling',
      enrich: async (events) => {
        trouble = coming
        coming = {}
        return events.map(() => ({}))
      },
    },
  ],
  handle: async ({ id }, tx) => {
    await tx.query('INSERT INTO effects VALUES ($1)', [id])
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (event_id uuid)')
  },
})

let pipeline: TestPipeline
/** Runs in place of each new transaction, and of each statement outside of one. */
let trouble: { connect?: () => void; query?: () => void }
/** The same, from the moment when the next batch is about to be settled. */
let coming: typeof trouble

beforeEach(async () => {
  trouble = {}
  coming = {}
  pipeline = await startPipeline([noted, counted], { EVENTFLOW_LANES: '1' })
  for (const name of ['connect', 'query'] as const) {
    const usual = pipeline.db[name].bind(pipeline.db) as (...given: unknown[]) => Promise<never>
    Object.assign(pipeline.db, {
      [name]: async (...given: unknown[]) => {
        // With a callback it is the pool that asks for a connection, for a statement.
        if (typeof given[0] !== 'function') trouble[name]?.()
        return usual(...given)
      },
    })
  }
})

afterEach(async () => {
  trouble = {}
  await pipeline.stop()
})

const ends = async () => (await pipeline.db.query('SELECT status, error_class FROM events')).rows

test('a connection that could not be opened', async () => {
  await pipeline.startWorker()
  let opened = 0
  coming.connect = () => {
    if (opened++ > 0) return
    throw Object.assign(new Error('connect EMFILE'), { code: 'EMFILE', syscall: 'connect' })
  }
  await pipeline.send([{ type: 'step.done', data: {} }])
  await pipeline.drained()
  expect(opened).toBeGreaterThan(1)
  expect(await ends()).toEqual([{ status: 'processed', error_class: null }])
})

test('an unknown error, while the server does not answer', async () => {
  await pipeline.startWorker()
  const strange = () => {
    throw new Error('strange')
  }
  coming = { connect: strange, query: strange }
  await pipeline.send([{ type: 'step.done', data: {} }])
  await until('the batch is kept', () =>
    pipeline.logged.some(({ msg }) => msg.startsWith('settling failed; the batch is kept')),
  )
  trouble = {}
  await pipeline.drained()
  expect(await ends()).toEqual([{ status: 'processed', error_class: null }])
})

test('a statement that takes too long for so many events: the next one gets fewer', async () => {
  // As Postgres cancels a statement that takes too long, and only with many rows.
  await administer(
    `CREATE FUNCTION take_too_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF (SELECT count(*) FROM written) > 20 THEN
        RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER take_too_long AFTER INSERT ON processed_events REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION take_too_long()`,
    pipeline.databaseUrl,
  )
  await pipeline.send(Array.from({ length: 100 }, () => ({ type: 'note.taken', data: {} })))
  await pipeline.startWorker()
  await pipeline.drained()
  expect(await ends()).toEqual(Array(100).fill({ status: 'processed', error_class: null }))
})
