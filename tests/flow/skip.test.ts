/** Skipping the event that blocks its key, at any moment of its owner's work on it. */
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

/** What a handler does with an event, by its key; the default is to write its effect. */
const doing = new Map<string, () => Promise<void>>()

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: (data) => data.key,
  retry: { attempts: 9, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 },
  async handle({ data }, tx) {
    if (data.n === 1) await doing.get(data.key)?.()
    await tx.query('INSERT INTO effects (key, n) VALUES ($1, $2)', [data.key, data.n])
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (id integer GENERATED ALWAYS AS IDENTITY, key text, n integer)')
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([step])
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

const send = async (key: string) => {
  const { items } = await pipeline.send([1, 2, 3].map((n) => ({ type: 'step.done', data: { key, n } })))
  return items[0]!.id!
}

const skip = (id: string, reason = 'in the way') =>
  post(`${pipeline.url}/v1/waiting/${id}/skip`, { reason }, { 'x-operator': 'ada' })

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
const get = async (path: string) => (await fetch(`${pipeline.url}${path}`)).json() as Promise<any>

const effectsOf = async (key: string) =>
  (await pipeline.db.query('SELECT n FROM effects WHERE key = $1 ORDER BY id', [key])).rows.map(({ n }) => n)

const countRows = async (table: string, id: string) =>
  (await pipeline.db.query(`SELECT FROM ${table} WHERE event_id = $1`, [id])).rowCount

const isRetrying = (id: string) => async () => (await get(`/v1/events/${id}`)).status === 'retrying'

test('the events behind it continue in order, and it is a dead letter that says who and why', async () => {
  doing.set('a', async () => {
    throw new Error('not now')
  })
  const id = await send('a')
  await until('it waits', isRetrying(id))
  const answer = await skip(id)
  expect([answer.status, await answer.json()]).toEqual([200, { id, status: 'failed' }])
  await until('the others are through', async () => (await effectsOf('a')).length === 2)
  expect(await effectsOf('a')).toEqual([2, 3])
  expect(await get(`/v1/events/${id}`)).toMatchObject({
    status: 'failed',
    failure: { error_class: 'Skipped', component: 'operator', message: 'skipped by ada: in the way' },
    timeline: [{ what: 'accepted' }, { what: 'attempt 1 failed' }, { what: 'failed' }],
  })
  expect((await get('/v1/audit-log')).items.slice(0, 1)).toMatchObject([
    { actor: 'ada', action: 'skip', operation_id: null, filter: { ids: [id] }, count: 1, reason: 'in the way' },
  ])
})

test('it can be replayed later', async () => {
  const { items } = await get('/v1/dead-letters?error_class=Skipped')
  doing.delete('a')
  await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: { ids: [items[0].id] } })
  await until('its effect is there', async () => (await effectsOf('a')).join() === '2,3,1')
})

test.each<[string, (() => Promise<void>) | undefined]>([
  ['would have succeeded', undefined],
  [
    'would have to be tried again',
    async () => {
      throw new Error('not now')
    },
  ],
])('while it is being processed, and %s: it is skipped, or nothing is', async (how, then) => {
  const key = `busy ${how}`
  doing.set(key, async () => {
    throw new Error('not now')
  })
  const id = await send(key)
  await until('it waits', isRetrying(id))
  // The next attempt is running, in an open transaction, when it is skipped.
  let letGo = () => {}
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  let begun = false
  doing.set(key, async () => {
    begun = true
    await held
    await then?.()
  })
  await pipeline.db.query('UPDATE retries SET due_at = now() WHERE event_id = $1', [id])
  await pipeline.db.query('UPDATE partitions SET owner = NULL, epoch = epoch + 1')
  await until('it is being worked on', () => begun)
  const skipping = skip(id)
  await until('the skip waits for it', async () => {
    const { rows } = await pipeline.db.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE partitions SET owner = NULL%'
       AND datname = current_database() AND pid <> pg_backend_pid()`,
    )
    return rows.length > 0
  })
  letGo()
  const { status } = await skipping
  await pipeline.drained(30_000)
  const processed = await countRows('processed_events', id)
  const dead = await countRows('failed_events', id)
  expect({ status, processed, dead }).toEqual(
    then ? { status: 200, processed: 0, dead: 1 } : { status: 409, processed: 1, dead: 0 },
  )
  expect(await effectsOf(key)).toEqual(then ? [2, 3] : [1, 2, 3])
  expect(await countRows('retries', id)).toBe(0)
})

test('an event that does not wait is not skipped, and a reason is required', async () => {
  const { items } = await pipeline.send([{ type: 'step.done', data: { key: 'fine', n: 5 } }])
  await pipeline.drained()
  for (const id of [items[0]!.id!, 'unheard-of', '00000000-0000-7000-8000-000000000000']) {
    expect(await (await skip(id)).json()).toMatchObject({ status: 409, code: 'operation-conflict' })
  }
  expect(await (await skip(items[0]!.id!, ' ')).json()).toMatchObject({ status: 400, errors: [{ pointer: '/reason' }] })
  expect((await pipeline.db.query('SELECT FROM audit_log WHERE action = $1', ['skip'])).rowCount).toBe(2)
})
