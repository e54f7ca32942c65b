/** The log over HTTP: every processed event once, in order, for its tenant only; and what is wrong is answered plainly. */
import { createApiKey, createTenant, renewIncarnation, SCOPES } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Answer, type Contract, readContract } from '../contract.js'

/** Keys whose events fail. */
const broken = new Set<string>()

const define = (type: string) =>
  defineEvent({
    type,
    schema: Type.Object({ key: Type.String(), n: Type.Any() }),
    key: (data) => data.key,
    retry: { attempts: 1 },
    enrich: [{ name: 'note', enrich: (events) => events.map(() => ({ noted: true })) }],
    async handle({ data }) {
      if (broken.has(data.key)) throw new Error('is broken')
    },
  })

let pipeline: TestPipeline
let contract: Contract
const keys: Record<string, string> = {}

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
type Body = any

beforeAll(async () => {
  pipeline = await startPipeline([define('step.done'), define('step.undone')], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

/** A tenant of its own for a test, with a key for everything. */
async function tenant(name: string): Promise<string> {
  await createTenant(pipeline.db, name, 'test')
  keys[name] = (await createApiKey(pipeline.db, { tenantId: name, name: '0', scopes: [...SCOPES] }, 'test')).key
  return name
}

const authorized = (of: string) => ({ authorization: `Bearer ${keys[of]}` })

const ask = (of: string, path: string): Promise<Answer> => contract.ask(path, { headers: authorized(of) })

const read = async (of: string, query = '') => (await ask(of, `/v1/log?${query}`)).body

async function send(of: string, ...events: { key: string; n: number; type?: string }[]) {
  const body = events.map(({ type = 'step.done', ...data }) => ({ type, data }))
  const response = await post(`${pipeline.url}/v1/events/batch`, body, authorized(of))
  expect(response.status).toBe(200)
  await pipeline.drained()
}

const steps = (key: string, count: number) => Array.from({ length: count }, (_, n) => ({ key, n }))
const numbersOf = (body: Body): number[] => body.items.map(({ data }: Body) => data.n)

/** Follows `next` until there is no more, and returns the pages. */
async function readAll(of: string, query: string): Promise<Body[]> {
  const pages: Body[] = []
  for (let from = ''; ; from = `&from=${pages.at(-1).next}`) {
    pages.push(await read(of, query + from))
    if (!pages.at(-1).more) return pages
  }
}

describe('a page', () => {
  test('has the events with their attributes and their data as processed', async () => {
    const of = await tenant('attributes')
    const event = {
      type: 'step.done',
      id: '4711',
      source: '/tests',
      time: `${new Date().toISOString().slice(0, 19)}.123456Z`,
      correlationid: 'c-1',
    }
    const body = { specversion: '1.0', ...event, causationid: 'e-0', color: 'red', data: { key: 'k', n: 1 } }
    const headers = { ...authorized(of), 'content-type': 'application/cloudevents+json' }
    const sent = await fetch(`${pipeline.url}/v1/events`, { method: 'POST', body: JSON.stringify(body), headers })
    expect([sent.status, await sent.text()]).toEqual([202, expect.any(String)])
    await pipeline.drained()
    const { items, ...rest } = await read(of)
    expect(items).toEqual([
      {
        ...{ id: expect.any(String), external_id: '4711', type: 'step.done', source: '/tests', partitionkey: 'k' },
        ...{ time: event.time, correlationid: 'c-1', causationid: 'e-0', extensions: { color: 'red' } },
        ...{ partition: expect.any(Number), position: expect.stringMatching(/^p[\w-]{30}$/) },
        ...{ accepted_at: expect.any(String), processed_at: expect.any(String) },
        data: { key: 'k', n: 1, noted: true },
      },
    ])
    expect(rest).toEqual({ next: expect.any(String), more: false, begins_at: expect.any(String) })
    const found = (await ask(of, `/v1/events/${items[0].id}`)).body
    expect(found).toMatchObject({ id: items[0].id, time: items[0].time, partition: items[0].partition })
  })

  test('leads to the next one: every event once, in the order of its partition', async () => {
    const of = await tenant('pages')
    await tenant('pages-other')
    await send(of, ...steps('a', 10), ...steps('b', 10), ...steps('c', 10))
    await send('pages-other', ...steps('a', 30))
    const pages = await readAll(of, 'limit=4')
    const items = pages.flatMap((page) => page.items)
    expect(items).toHaveLength(30)
    for (const key of ['a', 'b', 'c']) {
      const numbers = items.filter(({ partitionkey }) => partitionkey === key).map(({ data }) => data.n)
      expect(numbers).toEqual(steps(key, 10).map(({ n }) => n))
    }
    // `next` is there at the end, too, and leads to what comes then.
    const { next } = pages.at(-1)
    expect(await read(of, `from=${next}`)).toMatchObject({ items: [], more: false })
    await send(of, { key: 'a', n: 10 })
    expect(numbersOf(await read(of, `from=${next}`))).toEqual([10])
  })

  test('has only events of the given types and of the given partition', async () => {
    const of = await tenant('chosen')
    await send(of, { key: 'a', n: 1 }, { key: 'a', n: 2, type: 'step.undone' }, { key: 'b', n: 3 })
    expect(numbersOf(await read(of, 'type=step.undone'))).toEqual([2])
    expect(numbersOf(await read(of, 'type=step.undone&type=step.done&limit=1000')).sort()).toEqual([1, 2, 3])
    expect(numbersOf(await read(of, 'type=unknown'))).toEqual([])
    const [first] = (await read(of, 'type=step.undone')).items
    const { items, next } = await read(of, `partition=${first.partition}`)
    expect(items.map(({ data }: Body) => data.n)).toEqual(expect.arrayContaining([1, 2]))
    expect(items.every(({ partition }: Body) => partition === first.partition)).toBe(true)
    await send(of, { key: 'a', n: 4 }, { key: 'b', n: 5 })
    expect(numbersOf(await read(of, `from=${next}`))).toContain(4)
    // From the position of an event on, in its partition.
    const after = await read(of, `partition=${first.partition}&from=${items[0].position}`)
    expect(numbersOf(after).slice(0, 2)).toEqual([2, 4])
  })
})

describe('a reader begins', () => {
  test('at the end of the log, and gets what comes later', async () => {
    const of = await tenant('latest')
    await send(of, ...steps('a', 3))
    const { items, next } = await read(of, 'from=latest')
    expect(items).toEqual([])
    await send(of, { key: 'a', n: 3 })
    expect(numbersOf(await read(of, `from=${next}`))).toEqual([3])
  })

  test('at a time', async () => {
    const of = await tenant('time')
    await send(of, ...steps('a', 3))
    const [, { processed_at: at }] = (await read(of)).items
    await send(of, { key: 'a', n: 3 })
    const { processed_at: later } = (await read(of)).items[3]
    expect(numbersOf(await read(of, `from=${later}`))).toEqual([3])
    expect(numbersOf(await read(of, `from=${at}`))).toEqual(expect.arrayContaining([2, 3]))
    expect(numbersOf(await read(of, 'from=2100-01-01T00:00:00Z'))).toEqual([])
    const early = await read(of, 'from=2000-01-01T01:00:00%2B01:00')
    expect(numbersOf(early)).toEqual([0, 1, 2, 3])
    // The log says that it begins later than that.
    expect(Date.parse(early.begins_at)).toBeGreaterThan(Date.now() - 3_600_000)
    expect(await read(of, `from=${later}`)).not.toHaveProperty('begins_at')
  })
})

describe('a request that waits', () => {
  test('is answered when an event of its tenant and type is processed', async () => {
    const of = await tenant('waits')
    await tenant('waits-other')
    const { next } = await read(of)
    const waiting = read(of, `from=${next}&type=step.undone&wait=60s`)
    let answered = false
    void waiting.then(() => {
      answered = true
    })
    await send('waits-other', { key: 'a', n: 1, type: 'step.undone' })
    await send(of, { key: 'a', n: 2 })
    expect(answered).toBe(false)
    await send(of, { key: 'a', n: 3, type: 'step.undone' })
    expect(numbersOf(await waiting)).toEqual([3])
  })

  test('misses nothing, whenever it comes', async () => {
    const of = await tenant('follows')
    let { next } = await read(of)
    const seen: number[] = []
    const following = (async () => {
      while (seen.length < 30) {
        const page = await read(of, `from=${next}&wait=60s`)
        seen.push(...numbersOf(page))
        next = page.next
      }
    })()
    for (let n = 0; n < 30; n++) await send(of, { key: 'a', n })
    await following
    expect(seen).toEqual(steps('a', 30).map(({ n }) => n))
  })

  test('is answered at once if there is something, and after its time if nothing comes', async () => {
    const of = await tenant('patient')
    await send(of, { key: 'a', n: 1 })
    const page = await read(of, 'wait=60s')
    expect(numbersOf(page)).toEqual([1])
    expect(await read(of, `from=${page.next}&wait=20ms`)).toMatchObject({ items: [], more: false })
  })

  test('is answered when the service stops', async () => {
    const other = await startPipeline([], { DATABASE_URL: pipeline.databaseUrl })
    const waiting = fetch(`${other.url}/v1/log?from=latest&wait=60s`)
    await until(
      'it waits',
      async () =>
        (
          await other.db.query(
            `SELECT FROM pg_stat_activity WHERE query LIKE '%log_position%' AND query NOT LIKE '%pg_stat_activity%'`,
          )
        ).rowCount! > 0,
    )
    await other.stop()
    expect(await (await waiting).json()).toMatchObject({ items: [] })
  })
})

test('an event that is replayed is read once: what was read before does not come again, and the others come', async () => {
  const of = await tenant('replayed')
  await send(of, ...steps('a', 3))
  const before = await read(of, 'limit=2')
  const all = await readAll(of, '')
  const ids = all.flatMap((page) => page.items).map(({ id }) => id)
  broken.add('a')
  const replay = { target: 'processed', filter: { ids: [ids[0], ids[2]] }, rate: 1_000 }
  expect((await post(`${pipeline.url}/v1/events/replay`, replay, authorized(of))).status).toBe(202)
  const failed = async () => (await ask(of, '/v1/dead-letters')).body.items.length
  await until('both have failed', async () => (await failed()) === 2)
  // While it is replayed, and after it has failed.
  expect(await readAll(of, '')).toMatchObject(
    all.map(({ items }) => ({ items: items.map(({ id }: Body) => ({ id })) })),
  )
  expect(numbersOf(await read(of, `from=${before.next}`))).toEqual([2])
  broken.delete('a')
  expect(
    (await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: {}, rate: 1_000 }, authorized(of))).status,
  ).toBe(202)
  await until('both are processed', async () => {
    const { rows } = await pipeline.db.query('SELECT FROM log_replaying')
    return rows.length === 0
  })
  const after = await readAll(of, '')
  expect(after.flatMap((page) => page.items).map(({ id, position }) => [id, position])).toEqual(
    all.flatMap((page) => page.items).map(({ id, position }) => [id, position]),
  )
  expect(numbersOf(await read(of, `from=${before.next}`))).toEqual([2])
})

describe('refused with its place and its reason is', () => {
  let next: string
  let position: string
  let partition: number

  beforeAll(async () => {
    await tenant('ours')
    await tenant('theirs')
    await send('ours', ...steps('a', 2))
    await send('theirs', ...steps('a', 2))
    const page = await read('theirs')
    ;({ next } = page)
    ;[{ position, partition }] = page.items
  })

  const changed = (text: string) => text.slice(0, 40) + (text[40] === 'A' ? 'B' : 'A') + text.slice(41)

  test.each<[string, () => string, string, string | RegExp]>([
    [
      'a cursor of another tenant',
      () => `from=${next}`,
      '/from',
      /is not a `next` of the log: it is damaged, of another tenant/,
    ],
    ['a damaged cursor', () => `from=${changed(next)}`, '/from', /damaged/],
    ['half a cursor', () => `from=${next.slice(0, 50)}`, '/from', /damaged/],
    ['no cursor at all', () => 'from=yesterday', '/from', /damaged/],
    ['an empty place', () => 'from=', '/from', /at least 1|shorter|1 character/],
    [
      'a position of another tenant',
      () => `from=${position}&partition=${partition}`,
      '/from',
      /is not a position of partition/,
    ],
    ['a position without its partition', () => `from=${position}`, '/from', /needs its partition/],
    [
      'a position of another partition',
      () => `from=${position}&partition=${(partition + 1) % 16}`,
      '/from',
      /is not a position of/,
    ],
    ['no time', () => 'from=2026-13-01', '/from', /is neither earliest nor latest, and is no time as in RFC 3339/],
    ['a number', () => 'from=17', '/from', /no time/],
    ['no partition', () => 'partition=16', '/partition', /is not below 16/],
    ['a negative partition', () => 'partition=-1', '/partition', /pattern/],
    ['a huge limit', () => 'limit=1001', '/limit', /pattern/],
    ['no limit', () => 'limit=0', '/limit', /pattern/],
    ['two limits', () => 'limit=1&limit=2', '/limit', /string/],
    ['a wait without a unit', () => 'wait=10', '/wait', /pattern/],
    ['a place of one’s own in a group', () => 'group=g&from=latest', '/from', /cannot be combined with group/],
    ['a parameter that there is not', () => 'cursor=x', '/cursor', /is not known here/],
    ['a NUL', () => 'type=%00', '/type', /./],
    ['too many types', () => Array.from({ length: 101 }, (_, n) => `type=t${n}`).join('&'), '/type', /./],
  ])('%s', async (_, query, pointer, message) => {
    const { status, body } = await ask('ours', `/v1/log?${query()}`)
    expect([status, body.code, body.errors?.[0].pointer]).toEqual([400, 'invalid-query', pointer])
    expect(body.detail).toMatch(message)
  })

  test('a group that there is not', async () => {
    expect(await ask('ours', '/v1/log?group=none')).toMatchObject({ status: 404, body: { code: 'group-not-found' } })
  })

  test('a place whose next events retention has removed', async () => {
    const page = await read('ours')
    const at = page.items[0].partition
    const { rows } = await pipeline.db.query('SELECT last_value AS last FROM log_position')
    await pipeline.db.query('UPDATE log_starts SET low_position = $1 WHERE partition = $2', [rows[0].last, at])
    const { status, body } = await ask('ours', `/v1/log?from=${page.items[0].position}&partition=${at}`)
    expect([status, body.code]).toEqual([410, 'log-removed'])
    expect(body.detail).toMatch(`removed events of partition ${at} after this position`)
    expect((await read('ours')).items).toEqual([])
    await send('ours', { key: 'a', n: 9 })
    expect(numbersOf(await read('ours'))).toEqual([9])
  })

  test('a place from before Postgres was restored', async () => {
    const page = await read('ours')
    await renewIncarnation(pipeline.db, { known: true })
    const { status, body } = await ask('ours', `/v1/log?from=${page.next}`)
    expect(status).toBe(400)
    expect(body.detail).toMatch('from before Postgres was restored')
    expect((await ask('ours', `/v1/log?from=${(await read('ours')).next}`)).status).toBe(200)
  })
})
