/** The path of an event, from HTTP until it is settled. */

import { defineEvent, PermanentError, Type, UnavailableError } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const attemptsOf = new Map<string, number>()

/** Whether the enricher's dependency is down. */
let isAway = false

/** Appends to a list per key, and has enrichers that fail when the event says so. */
const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer(), fail: Type.Optional(Type.String()) }),
  key: (data) => data.key,
  retry: { attempts: 3, baseDelayMs: 20 },
  enrich: [
    {
      name: 'moody',
      enrich: (events) =>
        events.map(({ id, data }) => {
          if (data.fail === 'permanently') throw new PermanentError('never works')
          const attempt = (attemptsOf.get(id) ?? 0) + 1
          attemptsOf.set(id, attempt)
          if (data.fail === 'while it is away' && isAway) throw new UnavailableError('it')
          if (data.fail === 'with what is no JSON') return { count: 1n }
          const fails = data.fail === 'always' || (data.fail === 'twice' && attempt <= 2)
          return fails ? new Error(`attempt ${attempt} failed`) : { enriched: true }
        }),
    },
  ],
  async handle({ data }, tx) {
    if (data.fail === 'in the handler') throw new PermanentError('the handler refuses')
    if (data.fail === 'with an error that its handler swallows')
      return void (await tx.query('SELECT 1 / 0').catch(() => {}))
    if (data.fail === 'with bad SQL') await tx.query(`SELECT 'x'::integer`)
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

const event = (key: string, n: number, fail?: string) => ({
  type: 'step.done',
  data: { key, n, ...(fail && { fail }) },
})

const listOf = async (key: string) =>
  (await pipeline.db.query('SELECT n FROM effects WHERE key = $1 ORDER BY at', [key])).rows.map((row) => row.n)

const eventOf = async (id: string | null | undefined) =>
  // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
  (await fetch(`${pipeline.url}/v1/events/${id}?wait=20s`)).json() as Promise<any>

describe('an event', () => {
  test('is processed, and has that status', async () => {
    const sent = await post(`${pipeline.url}/v1/events`, event('one', 1))
    expect(sent.status).toBe(202)
    const { id, ...answer } = (await sent.json()) as { id: string }
    expect(answer).toEqual({ status: 'accepted', duplicate: false })
    expect(sent.headers.get('location')).toBe(`/v1/events/${id}`)
    expect(await eventOf(id)).toMatchObject({
      status: 'processed',
      partitionkey: 'one',
      attempts: 1,
      result: { key: 'one', n: 1, enriched: true },
    })
    expect(await listOf('one')).toEqual([1])
  })

  test('that fails twice is retried and succeeds, and blocks the later ones of its key', async () => {
    const { items } = await pipeline.send([
      event('patient', 1),
      event('patient', 2, 'twice'),
      event('patient', 3),
      event('other', 1),
    ])
    const retried = await eventOf(items[1]!.id)
    await pipeline.drained()
    expect(retried).toMatchObject({ status: 'processed', attempts: 3 })
    expect(retried.timeline.map(({ what }: { what: string }) => what)).toEqual([
      'accepted',
      'attempt 1 failed',
      'attempt 2 failed',
      'processed',
    ])
    expect(await listOf('patient')).toEqual([1, 2, 3])
    expect(await listOf('other')).toEqual([1])
  })

  test('whose dependency is down waits without being charged, and blocks only later events of its key', async () => {
    isAway = true
    const [first] = (await pipeline.send([event('held up', 1, 'while it is away')])).items
    await until('it was tried', () => attemptsOf.has(first!.id!))
    await pipeline.send([event('held up', 2), event('not held up', 1), event('held up', 3)])
    await until('another key continues', async () => (await listOf('not held up')).length === 1)
    expect(await listOf('held up')).toEqual([])
    isAway = false
    expect(await eventOf(first!.id)).toMatchObject({ status: 'processed', attempts: 1 })
    await pipeline.drained()
    expect(await listOf('held up')).toEqual([1, 2, 3])
  })

  test('that keeps failing is dead-lettered after its last attempt, with its history, and unblocks the others', async () => {
    const { items } = await pipeline.send([event('stubborn', 1, 'always'), event('stubborn', 2)])
    const dead = await eventOf(items[0]!.id)
    await pipeline.drained()
    expect(dead).toMatchObject({
      status: 'failed',
      attempts: 3,
      failure: { failure_type: 'transient', component: 'enrich:moody', message: 'attempt 3 failed' },
    })
    expect(await listOf('stubborn')).toEqual([2])
    expect((await pipeline.db.query('SELECT count(*)::integer FROM retries')).rows).toEqual([{ count: 0 }])
  })

  test.each([
    ['permanently', 'PermanentError', 'enrich:moody'],
    ['in the handler', 'PermanentError', 'handle'],
    ['with bad SQL', 'SQLSTATE 22P02', 'handle'],
    ['with what is no JSON', 'WrongAnswer', 'enrich:moody'],
  ])('that fails %s is dead-lettered at once, its neighbours are not affected', async (fail, errorClass, component) => {
    const neighbours = Array.from({ length: 20 }, (_, n) => event(`${fail} ${n % 3}`, n))
    const { items } = await pipeline.send([...neighbours.slice(0, 10), event(fail, 0, fail), ...neighbours.slice(10)])
    const dead = await eventOf(items[10]!.id)
    await pipeline.drained()
    expect(dead).toMatchObject({ status: 'failed', attempts: 1, failure: { error_class: errorClass, component } })
    expect(await listOf(`${fail} 0`)).toEqual([0, 3, 6, 9, 12, 15, 18])
    expect(await listOf(fail)).toEqual([])
  })

  test('that fails with an error that its handler swallows is not taken for processed', async () => {
    const fail = 'with an error that its handler swallows'
    const { items } = await pipeline.send([event('careless', 0), event('careless', 1, fail), event('careful', 0)])
    const dead = await eventOf(items[1]!.id)
    await pipeline.drained()
    expect(dead).toMatchObject({ status: 'failed', attempts: 3, failure: { component: 'handle' } })
    expect(await listOf('careless')).toEqual([0])
    expect(await listOf('careful')).toEqual([0])
  })

  test('that violates its schema is dead-lettered at once, with pointers', async () => {
    const { items } = await pipeline.send([{ type: 'step.done', data: { key: 'bad', n: '1' } }])
    expect(await eventOf(items[0]!.id)).toMatchObject({
      status: 'failed',
      failure: { component: 'schema', errors: [{ pointer: '/n', message: 'must be integer' }] },
    })
  })

  test('of an undefined type is dead-lettered at once, with a message that names the type', async () => {
    const { items } = await pipeline.send([{ type: 'un.heard-of', data: {} }])
    expect((await eventOf(items[0]!.id)).failure.message).toContain("'un.heard-of'")
  })
})

test('the events of each key take effect in the order in which they were sent', async () => {
  const keys = Array.from({ length: 37 }, (_, k) => `ordered ${k}`)
  for (let round = 0; round < 5; round++) {
    await pipeline.send(
      keys.flatMap((key) => [event(key, 3 * round), event(key, 3 * round + 1), event(key, 3 * round + 2)]),
    )
  }
  await pipeline.drained()
  for (const key of keys) expect(await listOf(key)).toEqual(Array.from({ length: 15 }, (_, n) => n))
})
