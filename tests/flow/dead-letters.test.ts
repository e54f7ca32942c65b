/** Dead letters over HTTP: found, grouped, discarded; and wrong requests are refused with the place of the mistake. */

import { createPublisher } from '@eventflow/redis'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { findStored, post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

/** Fails as its data says, until it is forgiven. */
const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: (data) => data.key,
  async handle({ data }, tx) {
    if (!forgiven) throw new PermanentError(`${data.key} is refused`)
    await tx.query('INSERT INTO effects (key) VALUES ($1)', [data.key])
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (key text)')
  },
})

let forgiven = false
let pipeline: TestPipeline
let ids: string[]

/** Five that the handler refuses, of the keys `a` and `b`, and two that violate their schema; in this order. */
const EVENTS = [
  { type: 'step.done', data: { key: 'a', n: 1 } },
  { type: 'step.done', data: { key: 'a', n: 2 } },
  { type: 'step.done', data: { key: 'b', n: 3 }, id: 'letter-3' },
  { type: 'step.done', data: { key: 'b', n: 4 } },
  { type: 'step.done', data: { key: 'b', n: 5 } },
  { type: 'step.done', partitionkey: 'c', data: { key: 'c', n: '6' } },
  { type: 'step.done', partitionkey: 'c', data: { key: 'c', n: '7' } },
]

beforeAll(async () => {
  pipeline = await startPipeline([step])
  await pipeline.startWorker()
  ids = (await pipeline.send(EVENTS)).items.map(({ id }) => id!)
  await pipeline.drained()
})

afterAll(() => pipeline.stop())

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
const get = async (path: string) => (await fetch(`${pipeline.url}${path}`)).json() as Promise<any>

const numbersOf = (page: { items: { id: string }[] }) => page.items.map(({ id }) => ids.indexOf(id) + 1)

describe('the list of dead letters', () => {
  test('comes in pages, the last accepted first', async () => {
    const pages: number[][] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { items: { id: string }[]; next: string | null } = await get(`/v1/dead-letters?limit=3${cursor}`)
      pages.push(numbersOf(page))
      cursor = page.next && `&cursor=${page.next}`
    }
    expect(pages).toEqual([[7, 6, 5], [4, 3, 2], [1]])
  })

  test('shows for each what failed, how and when', async () => {
    const { items } = await get('/v1/dead-letters?key=b&limit=1')
    expect(items).toEqual([
      {
        id: ids[4],
        type: 'step.done',
        partitionkey: 'b',
        correlationid: ids[4],
        status: 'open',
        attempts: 1,
        accepted_at: expect.stringMatching(/^\d{4}-.*Z$/),
        failed_at: expect.stringMatching(/^\d{4}-.*Z$/),
        failure: {
          failure_type: 'permanent',
          error_class: 'PermanentError',
          message: 'b is refused',
          component: 'handle',
        },
      },
    ])
  })

  test.each([
    ['key=a', [2, 1]],
    ['error_class=SchemaError', [7, 6]],
    ['type=step.done&key=b&error_class=PermanentError', [5, 4, 3]],
    ['type=step.undone', []],
    ['from=2024-01-01T00:00:00Z&key=a', [2, 1]],
    ['to=2024-01-01T00:00:00Z', []],
    ['status=discarded', []],
    ['status=all&key=a', [2, 1]],
  ])('can be filtered by %s', async (filter, expected) => {
    expect(numbersOf(await get(`/v1/dead-letters?${filter}`))).toEqual(expected)
  })

  test('can be grouped by type and error class', async () => {
    const { groups } = await get('/v1/dead-letters?group=true')
    expect(groups).toMatchObject([
      { type: 'step.done', error_class: 'PermanentError', count: 5 },
      { type: 'step.done', error_class: 'SchemaError', count: 2 },
    ])
    for (const { first_seen, last_seen } of groups) expect(first_seen <= last_seen).toBe(true)
    expect((await get('/v1/dead-letters?group=true&key=c')).groups).toHaveLength(1)
    const most = await get('/v1/dead-letters?group=true&limit=1')
    expect(most).toEqual({ groups: groups.slice(0, 1), more: true })
    expect(await get(`/v1/dead-letters?group=true&limit=${groups.length}`)).toEqual({ groups, more: false })
  })
})

describe('one dead letter', () => {
  test('is shown with its errors, its history and its data, by its id or the producer’s', async () => {
    expect(await get(`/v1/dead-letters/${ids[5]}`)).toMatchObject({
      id: ids[5],
      status: 'open',
      failure: { error_class: 'SchemaError', errors: [{ pointer: '/n', message: 'must be integer' }] },
      history: [{ attempt: 1, component: 'schema' }],
      worker_id: 'worker-1',
      data: { key: 'c', n: '6' },
    })
    expect(await get('/v1/dead-letters/letter-3')).toMatchObject({ id: ids[2], data: { n: 3 } })
  })

  test.each(['/v1/dead-letters/unheard-of', '/v1/dead-letters/00000000-0000-7000-8000-000000000000'])(
    'that does not exist is not found: %s',
    async (path) => {
      expect(await get(path)).toMatchObject({ status: 404, code: 'dead-letter-not-found' })
    },
  )
})

describe('a wrong request changes nothing, and is refused with the place of the mistake:', () => {
  const replay = '/v1/dead-letters/replay'
  const discard = '/v1/dead-letters/discard'
  const processed = '/v1/events/replay'

  test.each<[string, string, unknown, string]>([
    ['no filter', replay, {}, '/filter'],
    ['no object', replay, 'null', ''],
    ['an unknown field', replay, { filter: {}, dryrun: true }, '/dryrun'],
    ['an unknown part of a filter', replay, { filter: { errorclass: 'x' } }, '/filter/errorclass'],
    ['a rate that is a text', replay, { filter: {}, rate: '5' }, '/rate'],
    ['a rate of nothing', replay, { filter: {}, rate: 0 }, '/rate'],
    ['a rate without bounds', replay, { filter: {}, rate: 10_001 }, '/rate'],
    ['a dry run that is a text', replay, { filter: {}, dry_run: 'true' }, '/dry_run'],
    ['an id that is no UUID', replay, { filter: { ids: ['letter-3'] } }, '/filter/ids/0'],
    ['an id in the form of a URN', replay, { filter: { ids: [`urn:uuid:${'0'.repeat(8)}`] } }, '/filter/ids/0'],
    ['no ids', replay, { filter: { ids: [] } }, '/filter/ids'],
    ['a day instead of a moment', replay, { filter: { from: '2024-01-01' } }, '/filter/from'],
    ['a moment that cannot be kept', replay, { filter: { to: '9999-12-31T23:59:60Z' } }, '/filter/to'],
    ['NUL, which cannot be stored', replay, { filter: { type: 'a\0' } }, '/filter/type'],
    ['a discard without a reason', discard, { filter: {} }, '/reason'],
    ['a discard with a blank reason', discard, { filter: {}, reason: ' ' }, '/reason'],
    ['a replay of events that does not say which', processed, { filter: { key: 'a' } }, '/target'],
    ['a replay of all events there are', processed, { target: 'processed', filter: {} }, '/filter'],
    [
      'events by an error class',
      processed,
      { target: 'processed', filter: { error_class: 'x' } },
      '/filter/error_class',
    ],
  ])('%s', async (_, path, body, pointer) => {
    const answer = await post(`${pipeline.url}${path}`, body)
    expect(answer.headers.get('content-type')).toMatch('application/problem+json')
    const problem = (await answer.json()) as { errors: { pointer: string }[] }
    expect([answer.status, problem.errors.map((error) => error.pointer)]).toEqual([400, [pointer]])
    expect((await pipeline.db.query('SELECT FROM operations')).rowCount).toBe(0)
  })

  test.each([
    ['group=yes', '/group'],
    ['group=true&cursor=x', '/cursor'],
    ['limit=0', '/limit'],
    ['limit=1001', '/limit'],
    ['limit=ten', '/limit'],
    ['cursor=x', '/cursor'],
    ['status=closed', '/status'],
    ['errorclass=x', '/errorclass'],
    ['from=yesterday', '/from'],
    ['from=0000-01-01T00:00:00Z', '/from'],
    ['key=%00', '/key'],
  ])('a list by %s', async (query, pointer) => {
    const { status, errors } = await get(`/v1/dead-letters?${query}`)
    expect([status, errors[0].pointer]).toEqual([400, pointer])
  })

  test('an unknown filter, with the known ones', async () => {
    const answer = await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: { status: 'open' } })
    const message = 'is not known here; known are ids, type, key, from, to, error_class'
    expect(await answer.json()).toMatchObject({ status: 400, errors: [{ pointer: '/filter/status', message }] })
  })

  test('an unknown status, once', async () => {
    const message = 'must be one of "open", "replaying", "replayed", "discarded", "all"'
    expect((await get('/v1/dead-letters?status=closed')).errors).toEqual([{ pointer: '/status', message }])
  })

  test.each(['Jos\xe9', '100%', '%C3', 'a%0Ab', 'x'.repeat(201)])(
    'the operator %j, naming the header',
    async (name) => {
      const body = { filter: { key: 'nothing' }, reason: 'a test' }
      const answer = await post(`${pipeline.url}/v1/dead-letters/discard`, body, { 'x-operator': name })
      const detail = 'X-Operator must be 1 to 200 characters of printable ASCII, with others percent-encoded as UTF-8'
      expect(await answer.json()).toMatchObject({ status: 400, code: 'invalid-query', detail })
      expect((await pipeline.db.query('SELECT FROM operations')).rowCount).toBe(0)
    },
  )

  test.each(['unheard-of', '00000000-0000-7000-8000-000000000000'])('the operation %s', async (id) => {
    const problem = { status: 404, code: 'operation-not-found' }
    expect(await get(`/v1/operations/${id}`)).toMatchObject(problem)
    for (const change of ['resume', 'cancel']) {
      expect(await (await post(`${pipeline.url}/v1/operations/${id}/${change}`, {})).json()).toMatchObject(problem)
    }
  })
})

/** As the client writes `José, 100 %`. */
const OPERATOR = 'Jos%C3%A9, 100 %25'

describe('a discard', () => {
  const discard = async (body: object) =>
    // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
    (await (await post(`${pipeline.url}/v1/dead-letters/discard`, body, { 'x-operator': OPERATOR })).json()) as any

  test('as a dry run needs no reason and changes nothing', async () => {
    expect(await discard({ filter: { key: 'a' }, dry_run: true })).toMatchObject({ count: 2, samples: [{}, {}] })
    expect(numbersOf(await get('/v1/dead-letters?key=a'))).toEqual([2, 1])
  })

  test('settles dead letters finally, with who and why, despite later copies and replays', async () => {
    const { id } = await discard({ filter: { key: 'a' }, reason: 'sent by mistake' })
    const operation = await until('it is finished', async () => {
      const found = await get(`/v1/operations/${id}`)
      return found.status === 'finished' && found
    })
    expect(operation).toMatchObject({ kind: 'discard-dead-letters', total: 2, done: 2, requested_by: 'José, 100 %' })
    expect(numbersOf(await get('/v1/dead-letters?status=discarded'))).toEqual([2, 1])
    expect(numbersOf(await get('/v1/dead-letters'))).toEqual([7, 6, 5, 4, 3])

    forgiven = true
    const stored = await findStored(pipeline.db, [{ tenantId: 'default', id: ids[0]! }])
    const { event } = [...stored.values()][0]!
    await createPublisher(pipeline.redis, pipeline.prefix, pipeline.seal, 1_000).publish([event])
    await pipeline.streamsEmpty()
    const replayed = await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: { ids: [ids[0]] }, dry_run: true })
    expect(await replayed.json()).toEqual({ count: 0, samples: [] })

    expect(await get(`/v1/dead-letters/${ids[0]}`)).toMatchObject({
      status: 'discarded',
      resolved_by: 'José, 100 %',
      reason: 'sent by mistake',
      resolved_at: expect.any(String),
    })
    const { status, timeline } = await get(`/v1/events/${ids[0]}`)
    expect(status).toBe('discarded')
    expect(timeline.at(-1)).toMatchObject({ what: 'discarded', detail: 'by José, 100 %: sent by mistake' })
    expect((await pipeline.db.query('SELECT FROM effects')).rowCount).toBe(0)
    expect((await pipeline.db.query('SELECT FROM retries')).rowCount).toBe(0)
    const audited = 'SELECT actor, action, count, reason FROM audit_log WHERE operation_id IS NOT NULL'
    expect((await pipeline.db.query(audited)).rows).toEqual([
      { actor: 'José, 100 %', action: 'discard-dead-letters', count: 2, reason: 'sent by mistake' },
    ])
  })
})
