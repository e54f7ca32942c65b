/**
 * The answer to a COMMIT is lost, and before or while the batch is settled again an operator acts on the event: it is
 * settled once, as the operator wanted it, or waits as it should.
 */
import { randomUUID } from 'node:crypto'
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { watchStatements } from './statements.fixture.js'

let refuses = false

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({}),
  retry: { attempts: 1 },
  async handle({ id }, tx) {
    if (refuses) throw new Error('refused')
    await tx.query('INSERT INTO effects VALUES ($1)', [id])
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (event_id uuid)')
  },
})

let pipeline: TestPipeline
/**
 * Called with the name or the text of each statement of the workers' transactions, when it is done and before its
 * answer arrives.
 */
let answered: (statement: string) => Promise<void>

beforeAll(async () => {
  pipeline = await startPipeline([step])
  watchStatements(pipeline, (statement) => answered(statement))
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

beforeEach(() => {
  answered = async () => {}
})

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the rows.
const rowsOf = async (text: string, ...values: unknown[]): Promise<any[]> =>
  (await pipeline.db.query(text, values)).rows

const endsOf = async (id: string) => {
  const [ends] = await rowsOf(
    `SELECT (SELECT count(*) FROM processed_events WHERE event_id = $1) AS processed,
            (SELECT count(*) FROM effects WHERE event_id = $1) AS effects,
            (SELECT count(*) FROM retries WHERE event_id = $1) AS retries,
            (SELECT status FROM failed_events WHERE event_id = $1) AS letter`,
    id,
  )
  return ends
}

const operate = (what: 'replay' | 'discard', id: string) =>
  post(`${pipeline.url}/v1/dead-letters/${what}`, { filter: { ids: [id] }, reason: 'a test' })
const letterIs = (id: string, status: string) =>
  until(`its letter is ${status}`, async () => {
    const [letter] = await rowsOf('SELECT status FROM failed_events WHERE event_id = $1', id)
    return letter?.status === status
  })

/**
 * Sends an event whose handler fails permanently, and loses the answer to the COMMIT that makes it a dead letter. Then
 * the handler is repaired; `act` is called when the second settling has done `statement`, or before it begins.
 */
async function whenSettledAgain(statement: string | 'nothing', act: (id: string) => Promise<unknown>): Promise<string> {
  const id = randomUUID()
  let buried = false
  let again = false
  let acted: 'not yet' | 'begun' | 'done' = 'not yet'
  const actNow = async () => {
    acted = 'begun'
    await act(id)
    acted = 'done'
  }
  answered = async (said) => {
    buried ||= said === 'insert-failed'
    if (!again && buried && said.startsWith('COMMIT')) {
      again = true
      refuses = false
      if (statement === 'nothing') await actNow()
      throw Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' })
    }
    if (again && acted === 'not yet' && said === statement) await actNow()
  }
  refuses = true
  await pipeline.send([{ type: 'step.done', id, data: {} }])
  await until('it was settled twice', () => acted === 'done')
  return id
}

describe('a replay of an event that is settled again', () => {
  test.each(['nothing', 'insert-processed'])('is not lost when it comes after %s', async (statement) => {
    const id = await whenSettledAgain(statement, async (id) => {
      await operate('replay', id)
      await letterIs(id, 'replaying')
    })
    await pipeline.drained()
    expect(await endsOf(id)).toEqual({ processed: 1, effects: 1, retries: 0, letter: 'replayed' })
  })

  test('that is a discard stays one', async () => {
    const id = await whenSettledAgain('insert-processed', async (id) => {
      await operate('discard', id)
      await letterIs(id, 'discarded')
    })
    await pipeline.drained()
    expect(await endsOf(id)).toEqual({ processed: 0, effects: 0, retries: 0, letter: 'discarded' })
  })
})
