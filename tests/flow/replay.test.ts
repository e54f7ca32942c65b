/** An operator replays settled events: once, in order, at a rate, and recorded. */

import { advanceOperation, countMatching, createOperation } from '@eventflow/db'
import { createPublisher } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import { findStored, post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

/** Keys whose events fail, until they are removed from this set. */
const broken = new Set<string>()

/** Appends to a list per key, using an enricher that refuses some keys. */
const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: (data) => data.key,
  retry: { attempts: 2, baseDelayMs: 10 },
  enrich: [
    {
      name: 'dependency',
      enrich: (events) =>
        events.map(({ data }) => (broken.has(data.key) ? new Error('the dependency refuses') : { helped: true })),
    },
  ],
  async handle({ data }, tx) {
    await tx.query('INSERT INTO effects (key, n) VALUES ($1, $2)', [data.key, data.n])
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (at bigint GENERATED ALWAYS AS IDENTITY, key text, n integer)')
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([step])
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

const query = async (text: string, values: unknown[] = []) => (await pipeline.db.query(text, values)).rows

const effectsOf = async (key: string) =>
  (await query('SELECT n FROM effects WHERE key = $1 ORDER BY at', [key])).map((row) => row.n)

const statusesOf = async (key: string) =>
  (await query('SELECT status FROM failed_events WHERE key = $1 ORDER BY seq', [key])).map((row) => row.status)

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
const get = async (path: string) => (await fetch(`${pipeline.url}${path}`)).json() as Promise<any>

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
async function ask(path: string, body: object): Promise<any> {
  const response = await post(`${pipeline.url}${path}`, body, { 'x-operator': 'ada' })
  return response.json()
}

const replay = (body: object) => ask('/v1/dead-letters/replay', { rate: 1_000, ...body })

const replayProcessed = (filter: object) =>
  ask('/v1/events/replay', { target: 'processed', filter, rate: 1_000, reason: 'the projection was wrong' })

const nothingWaits = () => until('nothing waits', async () => (await query('SELECT FROM retries')).length === 0)

/** Waits until an operation has ended and the events it put into `retries` are settled. */
async function done({ id }: { id: string }) {
  const operation = await until('the operation ends', async () => {
    const found = await get(`/v1/operations/${id}`)
    return found.status !== 'running' && found
  })
  await nothingWaits()
  return operation
}

/** Sends events of a key and waits until they are settled; returns their ids. */
async function settle(key: string, ...numbers: number[]): Promise<string[]> {
  const { items } = await pipeline.send(numbers.map((n) => ({ type: 'step.done', data: { key, n } })))
  await pipeline.drained()
  return items.map(({ id }) => id!)
}

async function bury(key: string, ...numbers: number[]): Promise<string[]> {
  broken.add(key)
  const ids = await settle(key, ...numbers)
  expect(await statusesOf(key)).toEqual(numbers.map(() => 'open'))
  return ids
}

/** Puts an event into its stream a second time, as a rolled back Redis would, and waits until the entry is gone. */
async function deliverAgain(id: string) {
  const [stored] = (await findStored(pipeline.db, [{ tenantId: 'default', id }])).values()
  expect(await createPublisher(pipeline.redis, pipeline.prefix, pipeline.seal, 1_000).publish([stored!.event])).toEqual(
    new Set(),
  )
  await pipeline.streamsEmpty()
}

describe('dead letters', () => {
  test('that are replayed after their cause is gone are processed once, in the order of their acceptance', async () => {
    const ids = await bury('healed', 1, 2, 3)
    broken.delete('healed')
    const asked = await replay({ filter: { key: 'healed' }, reason: 'the dependency is back' })
    expect(asked).toMatchObject({
      kind: 'replay-dead-letters',
      filter: { key: 'healed' },
      rate: 1_000,
      reason: 'the dependency is back',
      requested_by: 'ada',
      total: 3,
    })
    expect(await done(asked)).toMatchObject({ status: 'finished', total: 3, done: 3 })
    expect(await effectsOf('healed')).toEqual([1, 2, 3])
    expect(await statusesOf('healed')).toEqual(['replayed', 'replayed', 'replayed'])
    expect(await get(`/v1/dead-letters/${ids[0]}`)).toMatchObject({ status: 'replayed', resolved_by: 'ada' })
    const { status, timeline, failure } = await get(`/v1/events/${ids[0]}`)
    expect([status, failure]).toEqual(['processed', undefined])
    expect(timeline.map(({ what }: { what: string }) => what)).toEqual([
      'accepted',
      'attempt 1 failed',
      'attempt 2 failed',
      'replayed',
      'processed',
    ])
    expect(timeline[3].detail).toBe('requested by ada: the dependency is back')
  })

  test('that fail again are open again, with the longer history, and can be replayed again', async () => {
    const [id] = await bury('stubborn', 1)
    await done(await replay({ filter: { key: 'stubborn' }, reason: 'hope' }))
    const again = await get(`/v1/dead-letters/${id}`)
    expect(again).toMatchObject({ status: 'open', attempts: 2, failure: { message: 'the dependency refuses' } })
    expect(again).not.toHaveProperty('resolved_by')
    expect(again.history.map(({ attempt }: { attempt: number }) => attempt)).toEqual([1, 2, 0, 1, 2])
    broken.delete('stubborn')
    await done(await replay({ filter: { ids: [id] } }))
    expect([await statusesOf('stubborn'), await effectsOf('stubborn')]).toEqual([['replayed'], [1]])
  })

  test('are only counted by a dry run, which changes nothing', async () => {
    await bury('counted', 1, 2)
    const state = () =>
      query(`SELECT (SELECT jsonb_agg(f ORDER BY seq) FROM failed_events f) AS failed,
                    (SELECT count(*) FROM retries) AS retries, (SELECT count(*) FROM operations) AS operations,
                    (SELECT count(*) FROM audit_log) AS audited`)
    const before = await state()
    const { count, samples } = await replay({ filter: { key: 'counted' }, dry_run: true })
    expect(count).toBe(2)
    expect(samples).toMatchObject([
      { type: 'step.done', partitionkey: 'counted', error_class: 'Error', message: 'the dependency refuses' },
      { type: 'step.done', partitionkey: 'counted' },
    ])
    expect(await state()).toEqual(before)
  })

  describe('are selected', () => {
    let ids: string[]

    beforeAll(async () => {
      ids = await bury('wanted', 1, 2, 3)
    })

    test.each<[string, () => object, number[]]>([
      ['their type', () => ({ type: 'step.done' }), [1, 2, 3]],
      ['another type', () => ({ type: 'step.undone' }), []],
      ['their error class', () => ({ error_class: 'Error' }), [1, 2, 3]],
      ['another error class', () => ({ error_class: 'SchemaError' }), []],
      ['their ids', () => ({ ids: [ids[0], ids[2]] }), [1, 3]],
      ['the time when they failed', () => ({ from: '2024-01-01T00:00:00Z' }), [1, 2, 3]],
      ['a time before that', () => ({ to: '2024-01-01T00:00:00Z' }), []],
      ['two things that must both hold', () => ({ ids, error_class: 'SchemaError' }), []],
    ])('by %s', async (_, filterOf, expected) => {
      const filter = { key: 'wanted', ...filterOf() }
      const { count, samples } = await replay({ filter, dry_run: true })
      const numbers = samples.map(({ id }: { id: string }) => ids.indexOf(id) + 1)
      expect([count, numbers]).toEqual([expected.length, expected])
    })

    test('by their ids, and only those are replayed', async () => {
      broken.delete('wanted')
      await done(await replay({ filter: { ids: [ids[2], ids[0]] } }))
      expect(await effectsOf('wanted')).toEqual([1, 3])
    })
  })

  test('have their effects once, though a stream entry delivers them at the same time', async () => {
    const [id] = await bury('twice', 1)
    broken.delete('twice')
    const operation = await replay({ filter: { key: 'twice' } })
    await deliverAgain(id!)
    await done(operation)
    expect([await effectsOf('twice'), await statusesOf('twice')]).toEqual([[1], ['replayed']])
  })
})

describe('processed events', () => {
  test('that are replayed have their effects again, once', async () => {
    const [first] = await settle('repeated', 1, 2)
    const operation = await done(await replayProcessed({ ids: [first] }))
    expect(operation).toMatchObject({ kind: 'replay-processed', status: 'finished', total: 1, done: 1 })
    expect(await effectsOf('repeated')).toEqual([1, 2, 1])
    const { status, timeline } = await get(`/v1/events/${first}`)
    expect(status).toBe('processed')
    expect(timeline.map(({ what }: { what: string }) => what)).toEqual(['accepted', 'replayed', 'processed'])
    expect(timeline[1].detail).toMatch(
      /^requested by ada: the projection was wrong; it was processed at \d{4}-\d\d-\d\dT[\d:.]+Z$/,
    )
  })

  test('have their effects again once, though a stream entry delivers them at the same time', async () => {
    const [id] = await settle('repeated twice', 1)
    const operation = await replayProcessed({ key: 'repeated twice' })
    await deliverAgain(id!)
    await done(operation)
    expect(await effectsOf('repeated twice')).toEqual([1, 1])
  })

  test('that were dead before, and fail now, are dead letters again', async () => {
    await bury('relapse', 1)
    broken.delete('relapse')
    await done(await replay({ filter: { key: 'relapse' } }))
    broken.add('relapse')
    await done(await replayProcessed({ key: 'relapse' }))
    expect([await statusesOf('relapse'), await effectsOf('relapse')]).toEqual([['open'], [1]])
    broken.delete('relapse')
    await done(await replay({ filter: { key: 'relapse' } }))
    await done(await replayProcessed({ key: 'relapse' }))
    expect([await statusesOf('relapse'), await effectsOf('relapse')]).toEqual([['replayed'], [1, 1, 1]])
  })

  test('are counted by type, key and time of acceptance, without the dead letters', async () => {
    await settle('countable', 1, 2, 3)
    const count = async (filter: object) =>
      (await ask('/v1/events/replay', { target: 'processed', filter, dry_run: true })).count
    expect(await count({ key: 'countable' })).toBe(3)
    expect(await count({ key: 'countable', type: 'step.undone' })).toBe(0)
    expect(await count({ key: 'countable', to: '2024-01-01T00:00:00Z' })).toBe(0)
    expect(await count({ key: 'counted' })).toBe(0)
    expect(await effectsOf('countable')).toEqual([1, 2, 3])
  })
})

describe('an operation', () => {
  /** An operation that no process carries out. */
  async function createIdle(key: string) {
    const selection = { kind: 'replay-processed' as const, tenantId: 'default', filter: { key } }
    const extent = await countMatching(pipeline.db, selection)
    return createOperation(
      pipeline.db,
      { ...selection, rate: 100, schemaVersion: null, reason: null, requestedBy: 'eve' },
      extent,
    )
  }

  test('whose process died is found interrupted, and resumes where it stopped: nothing is replayed twice', async () => {
    await settle('long', 1, 2, 3, 4, 5)
    const { id } = await createIdle('long')
    expect(await advanceOperation(pipeline.db, id, 2)).toEqual({ status: 'running', changed: 2, crowded: false })
    await nothingWaits()
    expect((await post(`${pipeline.url}/v1/operations/${id}/resume`, {})).status).toBe(409)
    await query(`UPDATE operations SET alive_at = now() - interval '1 minute' WHERE id = $1`, [id])
    expect(await get(`/v1/operations/${id}`)).toMatchObject({ status: 'interrupted', total: 5, done: 2 })
    expect(await advanceOperation(pipeline.db, id, 2)).toBeUndefined()
    expect(await ask(`/v1/operations/${id}/resume`, {})).toMatchObject({ status: 'running', done: 2 })
    expect(await done({ id })).toMatchObject({ status: 'finished', done: 5 })
    expect((await effectsOf('long')).sort()).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
  })

  test('leaves events alone that were settled after it was requested', async () => {
    const ids = await settle('early', 1, 2, 3)
    const { id } = await createIdle('early')
    await query('UPDATE processed_events SET processed_at = now() WHERE event_id = $1', [ids[1]])
    expect(await advanceOperation(pipeline.db, id, 10)).toEqual({ status: 'finished', changed: 2, crowded: false })
    await done({ id })
    expect(await effectsOf('early')).toEqual([1, 2, 3, 1, 3])
  })

  test('that is cancelled does nothing more, and cannot be resumed', async () => {
    await settle('cancelled', 1, 2, 3)
    const { id } = await createIdle('cancelled')
    await advanceOperation(pipeline.db, id, 1)
    expect(await ask(`/v1/operations/${id}/cancel`, {})).toMatchObject({ status: 'cancelled', done: 1 })
    expect(await advanceOperation(pipeline.db, id, 1)).toBeUndefined()
    expect(await ask(`/v1/operations/${id}/resume`, {})).toMatchObject({ status: 409, code: 'operation-conflict' })
    await done({ id })
    expect(await effectsOf('cancelled')).toEqual([1, 2, 3, 1])
  })

  test('waits while too many events of its tenant wait in `retries` already', async () => {
    await settle('crowded', 1)
    const { id } = await createIdle('crowded')
    await query(
      `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
       SELECT 'default', gen_random_uuid(), 1e9 + n, 0, 77, now() + interval '1 day' FROM generate_series(1, 10000) n`,
    )
    expect(await advanceOperation(pipeline.db, id, 1)).toEqual({ status: 'running', changed: 0, crowded: true })
    await query('DELETE FROM retries WHERE attempts = 77')
    expect(await advanceOperation(pipeline.db, id, 1)).toEqual({ status: 'finished', changed: 1, crowded: false })
    await done({ id })
  })

  test('leaves a row in the audit log: who, what, when, which events, how many, and why', async () => {
    await bury('audited', 1, 2)
    const { id } = await replay({ filter: { key: 'audited', error_class: 'Error' }, reason: 'asked by support' })
    expect(await query('SELECT * FROM audit_log WHERE operation_id = $1', [id])).toMatchObject([
      {
        tenant_id: 'default',
        actor: 'ada',
        action: 'replay-dead-letters',
        filter: { key: 'audited', errorClass: 'Error' },
        count: 2,
        reason: 'asked by support',
        at: expect.any(Date),
      },
    ])
    await done({ id })
  })
})

test('events replayed before a worker started are found by the one that takes their partition', async () => {
  const later = await startPipeline([step])
  try {
    const first = await later.startWorker('first')
    broken.add('inherited')
    await later.send([{ type: 'step.done', data: { key: 'inherited', n: 1 } }])
    await later.drained()
    await first.stop()
    broken.delete('inherited')
    await later.db.query(`UPDATE failed_events SET error_class = 'Poison'`)
    const answer = await post(`${later.url}/v1/dead-letters/replay`, { filter: {} })
    expect(answer.status).toBe(202)
    await until('the replay waits', async () => (await later.db.query('SELECT FROM retries')).rowCount === 1)
    // An event that killed its worker is a suspect, to be run alone.
    expect((await later.db.query('SELECT attempts, crashes FROM retries')).rows).toEqual([{ attempts: 0, crashes: 1 }])
    await later.startWorker('second')
    await later.drained()
    expect((await later.db.query('SELECT n FROM effects')).rows).toEqual([{ n: 1 }])
  } finally {
    await later.stop()
  }
})
