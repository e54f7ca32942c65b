/** Searching events over HTTP: by each attribute, in pages; the event types; and operators' actions. */
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

/** Refuses what is bad, and retries what is sad without success. */
const step = defineEvent({
  type: 'step.done',
  description: 'A step was done.',
  schema: Type.Object({
    key: Type.String(),
    mood: Type.Optional(Type.String()),
    card: Type.Optional(Type.String({ 'x-sensitive': true })),
    people: Type.Optional(Type.Array(Type.Object({ name: Type.String({ 'x-sensitive': true }), city: Type.String() }))),
  }),
  example: { key: 'a' },
  key: (data) => data.key,
  retry: { attempts: 5, baseDelayMs: 600_000, maxDelayMs: 600_000 },
  async handle({ data }) {
    if (data.mood === 'bad') throw new PermanentError(`${data.key} is refused`)
    if (data.mood === 'sad') throw new Error(`${data.key} is not to be had`)
  },
})

const other = defineEvent({ type: 'other.done', schema: Type.Object({}), order: 'none' })

/** In this order, in separate requests. */
const EVENTS = [
  { type: 'step.done', data: { key: 'a' }, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
  { type: 'step.done', data: { key: 'a' }, id: 'mine', correlationid: 'order-1' },
  { type: 'other.done', data: {}, correlationid: 'order-1', causationid: 'mine' },
  { type: 'step.done', data: { key: 'bad', mood: 'bad' } },
  { type: 'step.done', data: { key: 'sad', mood: 'sad' } },
  { type: 'step.done', data: { key: 'sad' } },
  { type: 'other.done', data: {}, partitionkey: 'a' },
]

let pipeline: TestPipeline
let ids: string[]
/** Between the third and the fourth event. */
let middle: string

beforeAll(async () => {
  pipeline = await startPipeline([step, other], { EVENTFLOW_TRACE_URL: 'https://traces.example/{trace_id}?from=ef' })
  await pipeline.startWorker()
  await until('the worker reads the streams', async () => {
    const { rows } = await pipeline.db.query('SELECT bool_and(redis_run_id IS NOT NULL) AS whole FROM partitions')
    return rows[0].whole
  })
  const send = async (events: object[]) => (await pipeline.send(events)).items.map(({ id }) => id!)
  ids = await send(EVENTS.slice(0, 3))
  const { rows } = await pipeline.db.query('SELECT clock_timestamp() AS now')
  middle = rows[0].now.toISOString()
  await until('a millisecond has passed', () => new Date().toISOString() > middle)
  ids.push(...(await send(EVENTS.slice(3))))
  await until('all but those that wait are settled', async () => (await find('status=accepted')).join() === '6')
})

afterAll(() => pipeline.stop())

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
const get = async (path: string) => (await fetch(`${pipeline.url}${path}`)).json() as Promise<any>

/** The numbers of the events found, from 1. */
const find = async (query: string): Promise<number[]> =>
  (await get(`/v1/events?${query}`)).items.map(({ id }: { id: string }) => ids.indexOf(id) + 1)

test.each([
  ['from=2026-01-01T00:00:00+01:00', '/from', /in a URL, write \+ as %2B$/],
  ['to=2026-01-01+00:00:00Z', '/to', /^is no time as in RFC 3339[^%]*$/],
  ['to=2026-01-01T00:00:00.1234567Z', '/to', /^has more than six digits/],
])('%s is refused, with the correct form', async (query, pointer, message) => {
  const { code, errors } = await get(`/v1/events?${query}`)
  expect([code, errors]).toEqual(['invalid-query', [{ pointer, message: expect.stringMatching(message) }]])
})

test('a leap second and an escaped + are valid times', async () => {
  expect(await find('from=2016-12-31T23:59:60Z')).not.toEqual([])
  expect(await find('from=2026-01-01T00:00:00%2B01:00')).not.toEqual([])
})

test('an event with a trace links to it', async () => {
  const { trace_url } = await get(`/v1/events/${ids[0]}`)
  expect(trace_url).toBe(`https://traces.example/${'a'.repeat(32)}?from=ef`)
  expect(await get(`/v1/events/${ids[1]}`)).not.toHaveProperty('trace_url')
})

describe('a search', () => {
  test('without a filter finds them all, in pages, the last accepted first', async () => {
    const pages: number[][] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { items: { id: string }[]; next: string | null } = await get(`/v1/events?limit=3${cursor}`)
      pages.push(page.items.map(({ id }) => ids.indexOf(id) + 1))
      cursor = page.next && `&cursor=${page.next}`
    }
    expect(pages).toEqual([[7, 6, 5], [4, 3, 2], [1]])
  })

  test.each([
    ['type=other.done', [7, 3]],
    ['type=nothing.done', []],
    ['key=a', [7, 2, 1]],
    ['key=a&type=step.done', [2, 1]],
    ['key=unheard-of', []],
    ['status=processed', [7, 3, 2, 1]],
    ['status=processed&type=other.done', [7, 3]],
    ['status=failed', [4]],
    ['status=retrying', [5]],
    ['status=retrying&key=bad', []],
    ['status=accepted', [6]],
    ['status=discarded', []],
    ['id=mine', [2]],
    ['id=mine&status=failed', []],
    ['correlation_id=order-1', [3, 2]],
    ['correlation_id=order-1&type=other.done', [3]],
    ['correlation_id=order-2', []],
    ['id=mine&correlation_id=order-1', [2]],
    ['id=mine&correlation_id=order-2', []],
    ['from=2001-01-01T00:00:00Z', [7, 6, 5, 4, 3, 2, 1]],
    ['to=2001-01-01T00:00:00Z', []],
    ['from=2999-01-01T00:00:00Z', []],
  ])('by %s', async (query, expected) => {
    expect(await find(query)).toEqual(expected)
  })

  test('by time, and by an event’s own correlation id', async () => {
    expect(await find(`from=${middle}`)).toEqual([7, 6, 5, 4])
    expect(await find(`to=${middle}`)).toEqual([3, 2, 1])
    expect(await find(`from=${middle}&to=2999-01-01T00:00:00Z&status=processed`)).toEqual([7])
    expect(await find(`correlation_id=${ids[0]}`)).toEqual([1])
    expect(await find(`id=${ids[6]}`)).toEqual([7])
  })

  test('returns the attributes and the status of each event', async () => {
    const [retrying] = (await get('/v1/events?status=retrying')).items
    expect(retrying).toMatchObject({ type: 'step.done', partitionkey: 'sad', status: 'retrying', attempts: 1 })
    expect(retrying.retry_at > retrying.accepted_at).toBe(true)
    const [failed] = (await get('/v1/events?status=failed')).items
    expect(failed).toMatchObject({ error_class: 'PermanentError', message: 'bad is refused' })
    expect(failed.settled_at > failed.accepted_at).toBe(true)
    const [caused, cause] = (await get('/v1/events?correlation_id=order-1')).items
    expect([cause.external_id, caused.causationid, caused.correlationid]).toEqual(['mine', 'mine', 'order-1'])
    expect(cause).not.toHaveProperty('data')
  })

  test.each([
    ['status=lost', '/status'],
    ['limit=0', '/limit'],
    ['cursor=x', '/cursor'],
    ['correlationid=x', '/correlationid'],
    ['from=yesterday', '/from'],
    ['id=', '/id'],
    ['key=%00', '/key'],
  ])('with a mistake is refused with its place: %s', async (query, pointer) => {
    const { status, errors } = await get(`/v1/events?${query}`)
    expect([status, errors[0].pointer]).toEqual([400, pointer])
  })
})

test('the event types are listed with their schemas, and their sensitive fields', async () => {
  const { items } = await get('/v1/event-types')
  expect(items).toEqual([
    expect.objectContaining({ type: 'other.done', order: 'none', attempts: 4, sensitive: [] }),
    {
      type: 'step.done',
      description: 'A step was done.',
      schema: expect.objectContaining({ type: 'object', required: ['key'] }),
      example: { key: 'a' },
      sensitive: ['/card', '/people/*/name'],
      order: 'key',
      attempts: 5,
      enrichers: [],
      validate_at: 'worker',
      lifts: [],
    },
  ])
})

test('operations are listed, and the audit log says who requested them', async () => {
  expect(await get('/v1/operations')).toEqual({ items: [] })
  for (const [operator, key] of [
    ['ada', 'unknown'],
    ['bob', 'bad'],
  ] as const) {
    const body = { filter: { key }, reason: 'no use' }
    await post(`${pipeline.url}/v1/dead-letters/discard`, body, { 'x-operator': operator })
  }
  const operations = await until('both have finished', async () => {
    const { items } = await get('/v1/operations')
    return items.every(({ status }: { status: string }) => status === 'finished') && items
  })
  expect(operations).toMatchObject([
    { requested_by: 'bob', done: 1 },
    { requested_by: 'ada', done: 0 },
  ])
  expect(await get('/v1/audit-log?limit=1')).toEqual({
    items: [
      {
        at: expect.any(String),
        actor: 'bob',
        action: 'discard-dead-letters',
        operation_id: operations[0].id,
        subject: null,
        filter: { key: 'bad' },
        count: 1,
        reason: 'no use',
      },
    ],
    next: expect.any(String),
  })
  expect(await find('status=discarded')).toEqual([4])
})
