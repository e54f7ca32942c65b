/** The identity of an event: source and id together; and events stored when the source did not count yet. */
import { randomUUID } from 'node:crypto'
import { eventIdOf } from '@eventflow/core'
import {
  applyMigrations,
  connect,
  type Db,
  finishExpansion,
  migrate,
  migrationsFor,
  readFormerIdsUntil,
} from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  createDatabase,
  insertAsBeforeParts,
  newEvent,
  post,
  startPipeline,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let pipeline: TestPipeline

const event = (id: string, source?: string, data: object = {}) => ({
  type: 'note.taken',
  id,
  ...(source !== undefined && { source }),
  data,
})
// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
type Json = any
const send = async (body: object, headers?: Record<string, string>) => {
  const response = await post(`${pipeline.url}/v1/events`, body, headers)
  return { status: response.status, ...((await response.json()) as Json) }
}
const get = async (path: string): Promise<Json> => (await fetch(`${pipeline.url}/v1/${path}`)).json()
const sourced = (source: string) => `source=${encodeURIComponent(source)}`

describe('source and id', () => {
  const seen: { id: string; externalId?: string | undefined; source: string }[] = []
  const note = defineEvent({
    type: 'note.taken',
    schema: Type.Object({ fail: Type.Optional(Type.Boolean()) }),
    handle: async ({ id, externalId, source, data }) => {
      if (data.fail) throw new Error('asked to')
      seen.push({ id, externalId, source })
    },
    retry: { attempts: 1 },
  })

  beforeAll(async () => {
    pipeline = await startPipeline([note])
  })

  afterAll(() => pipeline.stop())

  test('one UUID from several sources is that many events, in one request too, and each is found', async () => {
    const uuid = randomUUID()
    const sources = ['/', '/a', '/other']
    const { items } = await pipeline.send([...sources, '/a'].map((source) => event(uuid, source)))
    expect(items.map(({ status }) => status)).toEqual(['accepted', 'accepted', 'accepted', 'duplicate'])
    const ids = items.map(({ id }) => id)
    expect(ids).toEqual([uuid, eventIdOf('default', '/a', uuid), eventIdOf('default', '/other', uuid), ids[1]])

    for (const [n, source] of sources.entries()) {
      const found = { id: ids[n], source, ...(n > 0 && { external_id: uuid }) }
      expect(await get(`events/${uuid}?${sourced(source)}`)).toMatchObject(found)
      expect(await get(`events/${ids[n]}`)).toMatchObject(found)
      expect(await get(`events/${ids[n]}?${sourced(source)}`)).toMatchObject(found)
      expect((await get(`events?id=${uuid}&${sourced(source)}`)).items).toMatchObject([found])
      expect(await send(event(uuid, source))).toMatchObject({ id: ids[n], duplicate: true })
    }
  })

  test('an id that was derived for another source is a conflict that names the source', async () => {
    const { id } = await send(event('letter 1', '/a'))
    expect(await send(event(id))).toMatchObject({
      status: 409,
      code: 'event-conflict',
      detail: `An event with the id ${id} and the source /a was accepted before; nothing was stored`,
    })
  })

  test('a conflict names the id that was sent', async () => {
    const uuid = randomUUID()
    await send(event(uuid, '/a', { n: 1 }))
    expect(await send(event(uuid, '/a', { n: 2 }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining(uuid),
    })
  })

  test('an Idempotency-Key counts within one source', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const given = { type: 'note.taken', data: {} }
    const { id } = await send({ ...given, source: '/a' }, headers)
    expect(await send({ ...given, source: '/a' }, headers)).toMatchObject({ id, duplicate: true })
    expect(await send({ ...given, source: '/b' }, headers)).toMatchObject({
      status: 422,
      code: 'idempotency-key-reused',
    })
  })

  test('a handler gets the id that was sent, from the stream and from Postgres', async () => {
    const uuid = randomUUID()
    const { id } = await send(event(uuid, '/a'))
    const worker = await pipeline.startWorker()
    await pipeline.drained()
    await worker.stop()
    const filter = { filter: { ids: [id] }, target: 'processed' }
    expect((await post(`${pipeline.url}/v1/events/replay`, filter)).status).toBe(202)
    await pipeline.startWorker()
    const handled = () => seen.filter((one) => one.id === id)
    await until('it was handled again', () => handled().length === 2)
    expect(handled()).toEqual(Array(2).fill({ id, externalId: uuid, source: '/a' }))
  })

  test('a dead letter is found by its source and id', async () => {
    for (const sent of [randomUUID(), 'letter 2']) {
      const { id } = await send(event(sent, '/a', { fail: true }))
      await pipeline.drained()
      expect(await get(`dead-letters/${encodeURIComponent(sent)}?${sourced('/a')}`)).toMatchObject({ id })
      expect(await get(`dead-letters/${id}`)).toMatchObject({ id })
      expect(await get(`dead-letters/${encodeURIComponent(sent)}`)).toMatchObject({
        code: 'dead-letter-not-found',
        detail: `No event with the id ${sent} has failed; for an event sent with a source, add ?source=`,
      })
    }
  })

  test('a look-up that finds nothing hints at a missing source, or names the one that it used', async () => {
    await send(event('letter 3', '/a'))
    expect((await get(`events?id=letter%203&${sourced('/a')}`)).items).toMatchObject([{ external_id: 'letter 3' }])
    expect((await get(`events?${sourced('/a')}&type=note.taken`)).items.length).toBeGreaterThan(1)
    expect((await get(`events?id=letter%203`)).items).toEqual([])
    expect(await get('events/letter%203')).toMatchObject({
      code: 'event-not-found',
      detail: 'No event with the id letter 3 was accepted; for an event sent with a source, add ?source=',
    })
    const uuid = randomUUID()
    await send(event(uuid, '/a'))
    for (const source of ['/', '/b']) {
      expect(await get(`events/${uuid}?${sourced(source)}`)).toMatchObject({
        code: 'event-not-found',
        detail: `No event with the id ${uuid} and the source ${source} was accepted`,
      })
    }
  })
})

describe('events accepted when the source did not count', () => {
  const uuid = randomUUID()
  let url: string
  let db: Db

  const before = newEvent({ id: uuid, source: '/a', type: 'note.taken', payload: '{"n":1}' })
  const later = Object.keys(migrationsFor({ partitions: 16 })).indexOf('0012-former-ids')

  beforeEach(async () => {
    url = await createDatabase({ migrated: false })
    await applyMigrations(url, Object.fromEntries(Object.entries(migrationsFor({ partitions: 16 })).slice(0, later)))
    db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
    await insertAsBeforeParts(db, [before])
    await migrate(url, { partitions: 16 })
    await finishExpansion(url)
  })

  afterEach(async () => {
    await pipeline.stop()
    await db.end()
  })

  const startUpgraded = async () => {
    pipeline = await startPipeline([], { DATABASE_URL: url })
  }

  test('are recognized when they are sent again within a month, but only if they are identical', async () => {
    await startUpgraded()
    const answer = await post(`${pipeline.url}/v1/events`, event(uuid, '/a', { n: 1 }))
    expect(answer.headers.get('location')).toBe(`/v1/events/${uuid}`)
    expect(await answer.json()).toEqual({ id: uuid, status: 'accepted', duplicate: true })
    expect(await send(event(uuid.toUpperCase(), '/a', { n: 1 }))).toMatchObject({ id: uuid, duplicate: true })
    expect(await send(event(uuid, '/a', { n: 2 }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('other content'),
    })
    expect(await send(event(uuid, '/', { n: 1 }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('the source /a'),
    })
    expect(await send(event(uuid, '/b', { n: 1 }))).toMatchObject({
      id: eventIdOf('default', '/b', uuid),
      duplicate: false,
    })
    const { items } = await pipeline.send([event(uuid, '/a', { n: 1 }), event(uuid, '/c'), event(uuid, '/a', { n: 1 })])
    expect(items.map(({ status }) => status)).toEqual(['duplicate', 'accepted', 'duplicate'])
    expect(await get(`events/${uuid}?${sourced('/a')}`)).toMatchObject({ id: uuid, source: '/a' })
    expect((await get(`events?id=${uuid}&${sourced('/a')}`)).items).toMatchObject([{ id: uuid }])
  })

  test('can still be found after that, and are new events when sent again', async () => {
    const days = ((await readFormerIdsUntil(db)) - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(29.9)
    expect(days).toBeLessThan(30.1)
    await db.query(`UPDATE installation SET former_ids_until = now() - interval '1 second'`)
    await startUpgraded()
    expect(await get(`events/${uuid}?${sourced('/a')}`)).toMatchObject({ id: uuid, source: '/a' })
    const id = eventIdOf('default', '/a', uuid)
    expect(await send(event(uuid, '/a', { n: 1 }))).toMatchObject({ id, duplicate: false })
    expect(await get(`events/${uuid}?${sourced('/a')}`)).toMatchObject({ id, external_id: uuid })
    expect(await get(`events/${uuid}`)).toMatchObject({ id: uuid, source: '/a' })
  })

  test('are not looked for in a new database', async () => {
    await startUpgraded()
    const fresh = connect({ url: await createDatabase(), applicationName: 'test', max: 1, onIdleError: () => {} })
    expect(await readFormerIdsUntil(fresh)).toBe(0)
    await fresh.end()
  })
})
