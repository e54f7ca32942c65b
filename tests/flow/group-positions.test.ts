/** Groups of programs outside: they read on from what they have committed, and nothing is lost or goes back unasked. */
import { createApiKey, createTenant, SCOPES, type Scope } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Answer, type Contract, readContract } from '../contract.js'

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: (data) => data.key,
})

let pipeline: TestPipeline
let contract: Contract
const keys: Record<string, string> = {}

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
type Body = any

const createKey = async (tenantId: string, scopes: readonly Scope[]) =>
  (await createApiKey(pipeline.db, { tenantId, name: scopes.join(), scopes: [...scopes] }, 'test')).key

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

async function tenant(name: string): Promise<string> {
  await createTenant(pipeline.db, name, 'test')
  keys[name] = await createKey(name, SCOPES)
  return name
}

function ask(of: string, method: string, path: string, body?: object): Promise<Answer> {
  return contract.ask(`/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${keys[of] ?? of}`,
      'x-operator': 'ada',
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
}

const commit = (of: string, group: string, body: object) => ask(of, 'PUT', `groups/${group}/positions`, body)
const positions = async (of: string, group: string) => (await ask(of, 'GET', `groups/${group}/positions`)).body
const read = async (of: string, query: string) => (await ask(of, 'GET', `log?${query}`)).body
const numbersOf = (body: Body): number[] => body.items.map(({ data }: Body) => data.n)

async function send(of: string, ...events: { key: string; n: number }[]) {
  const answer = await ask(
    of,
    'POST',
    'events/batch',
    events.map((data) => ({ type: 'step.done', data })),
  )
  expect(answer.status).toBe(200)
  await pipeline.drained()
}

const steps = (key: string, first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => ({ key, n: first + i }))

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0)
const lagOf = (body: Body) => sum(body.partitions.map(({ lag }: Body) => lag))

describe('a group', () => {
  test('begins where its first request says, and reads on from what it has committed', async () => {
    const of = await tenant('reads-on')
    await send(of, ...steps('a', 1, 5))
    expect(await commit(of, 'billing', { from: 'earliest' })).toMatchObject({ status: 201, body: { name: 'billing' } })
    const first = await read(of, 'group=billing&limit=2')
    expect(numbersOf(first)).toEqual([1, 2])
    // Nothing is committed by reading.
    expect(numbersOf(await read(of, 'group=billing&limit=3'))).toEqual([1, 2, 3])
    expect((await commit(of, 'billing', { next: first.next })).status).toBe(200)
    const second = await read(of, 'group=billing')
    expect(numbersOf(second)).toEqual([3, 4, 5])
    const [third] = second.items
    await commit(of, 'billing', { positions: { [third.partition]: third.position } })
    expect(numbersOf(await read(of, 'group=billing'))).toEqual([4, 5])
    expect(numbersOf(await read(of, `group=billing&partition=${third.partition}`))).toEqual([4, 5])
    await commit(of, 'billing', { next: second.next })
    expect(await read(of, 'group=billing')).toMatchObject({ items: [], more: false })
    await send(of, { key: 'a', n: 6 })
    expect(numbersOf(await read(of, 'group=billing&wait=30s'))).toEqual([6])
  })

  test.each([
    ['at the end of the log', 'latest', [3]],
    ['in the future', '2100-01-01T00:00:00Z', [3]],
    ['in the past', '2020-01-01T00:00:00Z', [1, 2, 3]],
  ])('may begin %s', async (_, from, numbers) => {
    const of = await tenant(`begins-${from.slice(0, 4)}`)
    await send(of, ...steps('a', 1, 2))
    await commit(of, 'g', { from })
    await send(of, { key: 'a', n: 3 })
    expect(numbersOf(await read(of, 'group=g'))).toEqual(numbers)
    // For a group that exists, `from` says nothing.
    expect((await commit(of, 'g', { from: 'latest' })).status).toBe(200)
    expect(numbersOf(await read(of, 'group=g'))).toEqual(numbers)
  })

  test('may begin with what it has handled already; the other partitions begin where it says', async () => {
    const of = await tenant('has-handled')
    await send(of, ...steps('a', 1, 3), ...steps('b', 11, 13), ...steps('c', 21, 23), ...steps('d', 31, 33))
    const { items } = await read(of, '')
    const second = items.find(({ data }: Body) => data.n === 2)
    await commit(of, 'g', { positions: { [second.partition]: second.position }, from: 'latest' })
    expect(numbersOf(await read(of, 'group=g'))).toContain(3)
    expect(numbersOf(await read(of, 'group=g')).some((n) => n < 3)).toBe(false)
  })

  test('never goes back, unless it is reset; that is audited', async () => {
    const of = await tenant('goes-back')
    await send(of, ...steps('a', 1, 3))
    const [first, , third] = (await read(of, '')).items
    const at = first.partition
    await commit(of, 'g', { from: 'earliest' })
    await commit(of, 'g', { positions: { [at]: third.position } })
    const { status, body } = await commit(of, 'g', { positions: { [at]: first.position } })
    expect([status, body.positions[at]]).toEqual([200, third.position])
    expect(numbersOf(await read(of, 'group=g'))).toEqual([])
    const back = await commit(of, 'g', { positions: { [at]: first.position }, reset: true })
    expect(back.body.positions[at]).toBe(first.position)
    expect(numbersOf(await read(of, 'group=g'))).toEqual([2, 3])
    await commit(of, 'g', { from: 'latest', reset: true })
    expect(numbersOf(await read(of, 'group=g'))).toEqual([])
    await commit(of, 'g', { from: 'earliest', reset: true })
    expect(numbersOf(await read(of, 'group=g'))).toEqual([1, 2, 3])
    const { items } = (await ask(of, 'GET', 'audit-log')).body
    const resets = items.filter(({ action }: Body) => action === 'reset-group')
    expect(resets).toHaveLength(3)
    expect(resets[2]).toMatchObject({ actor: expect.stringContaining('ada'), subject: 'group g: 1 partitions' })
  })

  test('sees how far behind it is, in events and in seconds', async () => {
    const of = await tenant('lags')
    await tenant('lags-other')
    await commit(of, 'g', { from: 'earliest' })
    expect(await positions(of, 'g')).toMatchObject({ name: 'g', next: expect.any(String) })
    expect(lagOf(await positions(of, 'g'))).toBe(0)
    await send(of, ...steps('a', 1, 3), ...steps('b', 4, 5))
    await send('lags-other', ...steps('a', 1, 50))
    await pipeline.db.query(`UPDATE processed_events SET processed_at = processed_at - interval '1 hour'`)
    const { partitions } = await positions(of, 'g')
    expect(partitions.map(({ partition }: Body) => partition)).toEqual(Array.from({ length: 16 }, (_, n) => n))
    expect(lagOf({ partitions })).toBe(5)
    for (const { lag, lag_is_more, lag_seconds } of partitions) {
      expect([lag_is_more, lag > 0 ? lag_seconds > 3_590 && lag_seconds < 3_700 : lag_seconds === 0]).toEqual([
        false,
        true,
      ])
    }
    const { next } = await read(of, 'group=g')
    await commit(of, 'g', { next })
    expect(lagOf(await positions(of, 'g'))).toBe(0)
  })

  test('of which events were removed does not read on, until it is told where', async () => {
    const of = await tenant('lost')
    await commit(of, 'g', { from: 'earliest' })
    await send(of, ...steps('a', 1, 2))
    const at = (await read(of, 'group=g')).items[0].partition
    await pipeline.db.query(
      'UPDATE log_starts SET low_position = (SELECT max(position) FROM processed_events WHERE partition = $1) WHERE partition = $1',
      [at],
    )
    expect((await ask(of, 'GET', 'log?group=g')).body).toMatchObject({ status: 410, code: 'log-removed' })
    const { partitions } = await positions(of, 'g')
    expect(partitions.filter(({ removed }: Body) => removed).map(({ partition }: Body) => partition)).toEqual([at])
    await commit(of, 'g', { from: 'earliest', reset: true })
    await send(of, { key: 'a', n: 3 })
    expect(numbersOf(await read(of, 'group=g'))).toEqual([3])
  })

  test('belongs to its tenant', async () => {
    const [one, other] = [await tenant('owner'), await tenant('stranger')]
    await commit(one, 'g', { from: 'earliest' })
    expect((await ask(other, 'GET', 'groups/g/positions')).status).toBe(404)
    expect((await ask(other, 'GET', 'log?group=g')).status).toBe(404)
    expect((await commit(other, 'g', { from: 'latest' })).status).toBe(201)
  })
})

test('commits at the same time leave the furthest positions, and one of two first ones creates the group', async () => {
  const of = await tenant('races')
  await send(of, ...steps('a', 1, 20))
  const { items } = await read(of, '')
  const commits = items.map(({ partition, position }: Body) =>
    commit(of, 'g', { positions: { [partition]: position }, from: 'earliest' }),
  )
  const statuses = (await Promise.all(commits)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 201)).toHaveLength(1)
  expect(new Set(statuses)).toEqual(new Set([200, 201]))
  expect(numbersOf(await read(of, 'group=g'))).toEqual([])
})

describe('refused is', () => {
  let next: string
  let position: string
  let partition: number

  beforeAll(async () => {
    await tenant('ours')
    await tenant('theirs')
    await send('theirs', { key: 'a', n: 1 })
    const page = await read('theirs', '')
    ;({ next } = page)
    ;[{ position, partition }] = page.items
    await commit('ours', 'g', { from: 'latest' })
  })

  test.each<[string, () => object, string]>([
    ['a cursor of another tenant', () => ({ next }), '/next'],
    ['a position of another tenant', () => ({ positions: { [partition]: position } }), `/positions/`],
    ['a position of no partition', () => ({ positions: { 16: position } }), '/positions/16'],
    ['a partition with a strange name', () => ({ positions: { '03': position } }), '/positions/03'],
    ['a number as position', () => ({ positions: { 0: 17 } }), '/positions/0'],
    ['an empty position', () => ({ positions: { 0: '' } }), '/positions/0'],
    ['a huge position', () => ({ positions: { 0: 'p'.repeat(101) } }), '/positions/0'],
    ['garbage as cursor', () => ({ next: 'garbage' }), '/next'],
    ['positions and a cursor', () => ({ next, positions: {} }), '/positions'],
    ['nothing', () => ({}), ''],
    ['a reset to nowhere', () => ({ reset: true }), ''],
    ['no time', () => ({ from: '2026-13-01' }), '/from'],
    ['a cursor as beginning', () => ({ from: next }), '/from'],
    ['a reset that is no boolean', () => ({ next, reset: 'yes' }), '/reset'],
    ['a field that there is not', () => ({ from: 'latest', group: 'x' }), '/group'],
    ['a list', () => [], ''],
  ])('%s', async (_, bodyOf, pointer) => {
    for (const group of ['g', 'new']) {
      const { status, body } = await commit('ours', group, bodyOf())
      expect([status, body.code]).toEqual([400, 'invalid-query'])
      expect(body.errors[0].pointer).toMatch(new RegExp(`^${pointer}`))
    }
    expect((await ask('ours', 'GET', 'groups/new/positions')).status).toBe(404)
  })

  test.each(['A', '1a', 'a b', 'x'.repeat(101), 'ä', 'a/b'])('the name %s', async (name) => {
    const { status } = await commit('ours', encodeURIComponent(name), { from: 'latest' })
    expect(status).toBe(400)
  })

  test('a commit of a group that there is not, as of one that was deleted', async () => {
    const page = await read('ours', '')
    expect(await commit('ours', 'none', { next: page.next })).toMatchObject({
      status: 404,
      body: { code: 'group-not-found', detail: expect.stringContaining('PUT /v1/groups/none/positions with `from`') },
    })
    expect((await ask('ours', 'GET', 'groups/none/positions')).body.code).toBe('group-not-found')
  })

  test('every request for a consumer that is defined in code', async () => {
    await pipeline.db.query(
      `INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ('ours', 'invoicing', 'consumer')`,
    )
    for (const answer of [
      await commit('ours', 'invoicing', { from: 'latest' }),
      await commit('ours', 'invoicing', { from: 'latest', reset: true }),
      await ask('ours', 'GET', 'groups/invoicing/positions'),
      await ask('ours', 'GET', 'log?group=invoicing'),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([409, 'group-conflict'])
      expect(answer.body.detail).toMatch('a consumer defined in code')
    }
  })

  test('reading as a group that is paused, but not what it has handled', async () => {
    await commit('ours', 'paused', { from: 'earliest' })
    await pipeline.db.query(`UPDATE consumer_groups SET paused_for = 'the ledger is moved' WHERE name = 'paused'`)
    const { status, body } = await ask('ours', 'GET', 'log?group=paused')
    expect([status, body.detail]).toEqual([409, 'The group paused is paused: the ledger is moved'])
    expect((await commit('ours', 'paused', { next: (await read('ours', '')).next })).status).toBe(200)
    expect(await positions('ours', 'paused')).toMatchObject({ paused_for: 'the ledger is moved' })
  })

  test('a key that may only read, and one that may only send', async () => {
    const [reader, sender] = [await createKey('ours', ['read']), await createKey('ours', ['ingest'])]
    expect((await commit(reader, 'g', { from: 'latest' })).status).toBe(403)
    expect((await ask(reader, 'GET', 'groups/g/positions')).status).toBe(200)
    expect((await ask(reader, 'GET', 'log?group=g')).status).toBe(200)
    expect((await ask(sender, 'GET', 'log')).status).toBe(403)
    expect((await commit(await createKey('ours', ['replay']), 'g', { from: 'latest' })).status).toBe(200)
  })

  test('more groups than a tenant may have', async () => {
    await tenant('many')
    await pipeline.db.query(
      `INSERT INTO consumer_groups (tenant_id, name, kind) SELECT 'many', 'g' || n, 'external' FROM generate_series(1, 100) n`,
    )
    const { status, body } = await commit('many', 'one-more', { from: 'latest' })
    expect([status, body.code]).toEqual([409, 'limit-reached'])
    expect(body.detail).toMatch('100 consumer groups')
  })
})
