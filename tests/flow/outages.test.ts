/** Ingest when a dependency is down or overloaded: no event that was answered with 202 is lost. */
import { partitionOf } from '@eventflow/core'
import { connect, type Db, INGEST_APPLICATION } from '@eventflow/db'
import { streamKey } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  administer,
  createDatabase,
  type Link,
  openLink,
  post,
  type Server,
  sessionsWaiting,
  startOwnRedis,
  startPipeline,
  type TestPipeline,
  until,
  whileLocked,
  withPort,
} from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'

const event = (n: number, given: object = {}) => ({ type: 'note.taken', data: { n }, ...given })

const portOf = (url: string) => Number(new URL(url).port)

/** Checks the content of a 503, and how soon it comes. */
async function expectRefusal(sending: Promise<Response>, code: string, withinMs: number) {
  const start = performance.now()
  const refused = await sending
  expect(refused.status).toBe(503)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused.json()).toMatchObject({ code, status: 503 })
  expect(performance.now() - start).toBeLessThan(withinMs)
}

const storedIn = async (db: Db) =>
  (await db.query(`SELECT (payload->>'n')::integer AS n FROM raw_events ORDER BY seq`)).rows.map(({ n }) => n)

const streamsInUse = (db: Db) =>
  until('the streams are in use', async () => {
    const { rows } = await db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')
    return rows.length === 0
  })

test.each([
  ['events', { EVENTFLOW_MAX_IN_FLIGHT: '1' }, ''],
  ['data', { EVENTFLOW_MAX_IN_FLIGHT_BYTES: '1024' }, 'x'.repeat(1_000)],
])('at the limit of events in flight (%s), more is refused at once, and never lost', async (_, settings, text) => {
  const pipeline = await startPipeline([], settings)
  const note = (n: number) => ({ type: 'note.taken', data: { n, text } })
  const send = (body: object, path = '/v1/events') => post(pipeline.url + path, body)
  let taken: Promise<Response> | undefined
  await whileLocked(pipeline.db, 'raw_events', async () => {
    taken = send(note(1))
    await until('the INSERT waits', async () => (await sessionsWaiting(pipeline.db)).length === 1)
    await expectRefusal(send(note(2)), 'overloaded', 1_000)
    await expectRefusal(send([note(3)], '/v1/events/batch'), 'overloaded', 1_000)
  })
  expect((await taken)?.status).toBe(202)
  expect((await send(note(4))).status).toBe(202)
  expect(await storedIn(pipeline.db)).toEqual([1, 4])
  await pipeline.stop()
})

// A tenant has at most three quarters: of room for three, two may be taken.
test.each([
  ['events', { EVENTFLOW_MAX_IN_FLIGHT: '3' }, ''],
  [
    'data',
    { EVENTFLOW_MAX_IN_FLIGHT_BYTES: `${3 * JSON.stringify({ n: 1, text: 'x'.repeat(1_000) }).length}` },
    'x'.repeat(1_000),
  ],
])('the limit in flight can be reached (%s)', async (_, settings, text) => {
  const pipeline = await startPipeline([], settings)
  const send = (n: number) => post(`${pipeline.url}/v1/events`, { type: 'note.taken', data: { n, text } })
  const taken: Promise<Response>[] = []
  await whileLocked(pipeline.db, 'raw_events', async () => {
    taken.push(send(1))
    await until('the INSERT waits', async () => (await sessionsWaiting(pipeline.db)).length === 1)
    taken.push(send(2))
  })
  expect((await Promise.all(taken)).map(({ status }) => status)).toEqual([202, 202])
  await pipeline.stop()
})

test('a request larger than the limit is accepted when nothing else is in flight', async () => {
  const pipeline = await startPipeline([], { EVENTFLOW_MAX_IN_FLIGHT: '1' })
  expect(await pipeline.send([event(1), event(2), event(3)])).toMatchObject({ accepted: 3 })
  await pipeline.stop()
})

describe('Postgres', () => {
  let link: Link
  let pipeline: TestPipeline
  /** Connects to the database directly, not over the link. */
  let onlooker: Db

  beforeAll(async () => {
    const url = await createDatabase()
    onlooker = connect({ url, applicationName: 'onlooker', max: 2, onIdleError: () => {} })
    link = await openLink(portOf(url))
    pipeline = await startPipeline([], { DATABASE_URL: withPort(url, link.port) })
  })

  afterAll(async () => {
    await pipeline.stop()
    await onlooker.end()
    await link.stop()
  })

  afterEach(() => {
    link.mode = { kind: 'pass' }
  })

  const send = (n: number, given: object = {}) => post(`${pipeline.url}/v1/events`, event(n, given))
  const ready = async () => (await fetch(`${pipeline.url}/readyz`)).status === 200

  test('down: 503 until it is back, and the service is not ready', async () => {
    link.mode = { kind: 'refuse' }
    link.reset()
    await expectRefusal(send(1), 'unavailable', 3_000)
    await expectRefusal(post(`${pipeline.url}/v1/events/batch`, [event(2)]), 'unavailable', 3_000)
    expect(await ready()).toBe(false)
    expect((await fetch(`${pipeline.url}/health`)).status).toBe(503)
    expect((await fetch(`${pipeline.url}/livez`)).status).toBe(200)
    link.mode = { kind: 'pass' }
    expect((await send(3)).status).toBe(202)
    expect(await ready()).toBe(true)
    expect(await storedIn(onlooker)).toEqual([3])
  })

  test('losing its idle connections fails no request', async () => {
    const ofService = 'datname = current_database() AND application_name = $1'
    const { rowCount } = await onlooker.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE ${ofService}`,
      [INGEST_APPLICATION],
    )
    expect(rowCount).toBeGreaterThan(0)
    expect((await send(4)).status).toBe(202)
  })

  test('losing the connection of an INSERT fails no request', async () => {
    let sent: Promise<Response> | undefined
    await whileLocked(onlooker, 'raw_events', async () => {
      sent = send(5)
      const [pid] = await until('the INSERT waits', async () => {
        const pids = await sessionsWaiting(onlooker)
        return pids.length > 0 && pids
      })
      await onlooker.query('SELECT pg_terminate_backend($1, 5000)', [pid])
    })
    expect((await sent)?.status).toBe(202)
    expect((await storedIn(onlooker)).filter((n) => n === 5)).toEqual([5])
  })

  test('losing the answer to an INSERT that was committed: stored once, published, and answered as stored', async () => {
    let sent: Promise<Response> | undefined
    await whileLocked(onlooker, 'raw_events', async () => {
      sent = send(6, { partitionkey: 'unheard' })
      await until('the INSERT waits', async () => (await sessionsWaiting(onlooker)).length === 1)
      link.mode = { kind: 'swallow' }
    })
    await until('the event is stored', async () => (await storedIn(onlooker)).includes(6))
    link.reset()
    link.mode = { kind: 'pass' }
    expect((await sent)?.status).toBe(202)
    expect((await storedIn(onlooker)).filter((n) => n === 6)).toEqual([6])
    const stream = streamKey(pipeline.prefix, partitionOf('default', 'unheard', pipeline.partitions))
    expect(JSON.stringify(await pipeline.redis.xrange(stream, '-', '+'))).toContain('unheard')
  })

  test('refusing the value of one event does not affect its neighbours, from any sender', async () => {
    await administer(`ALTER TABLE raw_events ADD CONSTRAINT test CHECK (type <> 'unwanted')`, pipeline.databaseUrl)
    const batch = Array.from({ length: 50 }, (_, n) => event(100 + n, n % 17 === 5 ? { type: 'unwanted' } : {}))
    let sent: Promise<Response>[] = []
    // All requests that arrive while the first INSERT waits end up in one flush.
    await whileLocked(onlooker, 'raw_events', async () => {
      sent = [send(99)]
      await until('the first INSERT waits', async () => (await sessionsWaiting(onlooker)).length === 1)
      sent.push(post(`${pipeline.url}/v1/events/batch`, batch), send(150), send(151, { type: 'unwanted' }))
      await fetch(`${pipeline.url}/livez`)
    })
    const [, batched, good, bad] = await Promise.all(sent)
    const { items } = (await batched!.json()) as { items: { status: string; error?: { code: string } }[] }
    expect(items.map(({ status, error }) => error?.code ?? status)).toEqual(
      batch.map(({ type }) => (type === 'unwanted' ? 'invalid-event' : 'accepted')),
    )
    expect([good!.status, bad!.status]).toEqual([202, 400])
    const kept = batch.flatMap(({ type, data }) => (type === 'unwanted' ? [] : [data.n]))
    expect((await storedIn(onlooker)).filter((n) => n >= 100 && n < 150)).toEqual(kept)
    await administer('ALTER TABLE raw_events DROP CONSTRAINT test', pipeline.databaseUrl)
  })
})

describe('Redis', () => {
  let redis: Server
  let link: Link
  let pipeline: TestPipeline

  beforeAll(async () => {
    redis = await startOwnRedis()
    link = await openLink(redis.port)
    pipeline = await startPipeline([], {
      REDIS_URL: withPort(redis.adminUrl, link.port),
      EVENTFLOW_MAX_STREAM_LENGTH: '25',
    })
  })

  afterAll(async () => {
    await pipeline.stop()
    await link.stop()
    await redis.stop()
  })

  afterEach(async () => {
    link.mode = { kind: 'pass' }
    await connected()
  })

  /** Events that filled a stream to its limit. */
  let sentToFill = 0

  const partitionsOf = (keys: readonly string[]) =>
    keys.map((key) => partitionOf('default', key, pipeline.partitions)).sort((a, b) => a - b)
  /** Returns the marked partitions, and clears the marks. */
  const takeMarks = async () => {
    const { rows } = await pipeline.db.query('SELECT id FROM partition_marks WHERE dirty > 0 ORDER BY id')
    await pipeline.db.query('UPDATE partition_marks SET dirty = 0')
    return rows.map(({ id }) => id)
  }
  const sendKeys = async (keys: readonly string[]) =>
    pipeline.send(keys.flatMap((key) => [event(1, { partitionkey: key }), event(2, { partitionkey: key })]))
  const connected = () => until('Redis is connected', () => pipeline.redis.status === 'ready')

  test('up: nothing is marked', async () => {
    expect(await sendKeys(['a', 'b', 'c'])).toMatchObject({ accepted: 6 })
    expect(await takeMarks()).toEqual([])
  })

  test('gone: events are still accepted, and only their partitions are marked by then', async () => {
    await redis.crash(0, async () => {
      expect(await sendKeys(['a', 'b', 'c'])).toMatchObject({ accepted: 6 })
      expect(await takeMarks()).toEqual(partitionsOf(['a', 'b', 'c']))
      expect((await post(`${pipeline.url}/v1/events`, event(1, { partitionkey: 'd' }))).status).toBe(202)
      expect(await takeMarks()).toEqual(partitionsOf(['d']))
      expect(await (await fetch(`${pipeline.url}/health`)).json()).toMatchObject({ status: 'degraded' })
      expect((await fetch(`${pipeline.url}/readyz`)).status).toBe(200)
    })
    await connected()
    await sendKeys(['e'])
    expect(await takeMarks()).toEqual([])
  })

  test('silent: no request waits for it for long', async () => {
    link.mode = { kind: 'swallow' }
    const start = performance.now()
    await sendKeys(['f'])
    expect(performance.now() - start).toBeLessThan(5_000)
    expect(await takeMarks()).toEqual(partitionsOf(['f']))
  })

  test('full: the partitions of refused entries are marked', async () => {
    await pipeline.redis.config('SET', 'maxmemory', '1')
    await sendKeys(['g', 'h'])
    expect(await takeMarks()).toEqual(partitionsOf(['g', 'h']))
    await pipeline.redis.config('SET', 'maxmemory', '0')
    await sendKeys(['g'])
    expect(await takeMarks()).toEqual([])
  })

  test('with a stream that is long enough: more waits in Postgres', async () => {
    const [partition] = partitionsOf(['i'])
    const stream = streamKey(pipeline.prefix, partition!)
    for (; (await pipeline.redis.xlen(stream)) < 25; sentToFill += 2) await sendKeys(['i'])
    expect(await takeMarks()).toEqual([])
    await sendKeys(['i'])
    expect(await takeMarks()).toEqual([partition])
    expect(await pipeline.redis.xlen(stream)).toBe(25)
  })

  test('in any state: every accepted event is stored', async () => {
    const { rows } = await pipeline.db.query(
      'SELECT key, count(*)::integer AS count FROM raw_events GROUP BY key ORDER BY key',
    )
    expect(rows).toEqual(
      Object.entries({ a: 4, b: 4, c: 4, d: 1, e: 2, f: 2, g: 4, h: 2, i: sentToFill + 2 }).map(([key, count]) => ({
        key,
        count,
      })),
    )
  })
})

test('a Redis that refuses to create the streams holds nothing up, and is used once it creates them', async () => {
  const redis = await startOwnRedis()
  const pipeline = await startPipeline([defineEvent({ type: 'note.taken', schema: Type.Object({}) })], {
    REDIS_URL: redis.adminUrl,
    EVENTFLOW_LANES: '1',
  })
  await pipeline.redis.config('SET', 'maxmemory', '1')
  await pipeline.startWorker()
  await pipeline.send([event(1), event(2)])
  await pipeline.drained()
  await pipeline.redis.config('SET', 'maxmemory', '0')
  await streamsInUse(pipeline.db)
  await pipeline.send([event(3)])
  await pipeline.drained()
  await pipeline.stop()
  await redis.stop()
})

test('a full Redis lets the entries of settled events be removed', async () => {
  const redis = await startOwnRedis()
  const fills = defineEvent({
    type: 'note.taken',
    schema: Type.Object({}),
    handle: async () => void (await pipeline.redis.config('SET', 'maxmemory', '1')),
  })
  const pipeline: TestPipeline = await startPipeline([fills], { REDIS_URL: redis.adminUrl })
  await pipeline.startWorker()
  await streamsInUse(pipeline.db)
  await pipeline.send([event(1)])
  await pipeline.drained()
  await pipeline.streamsEmpty()
  expect(pipeline.logged).toEqual([])
  await pipeline.stop()
  await redis.stop()
})
