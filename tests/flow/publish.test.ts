/**
 * A request with so many events of a key that they need several stream entries: Redis accepts all of them, or their
 * partition is marked.
 */
import { partitionOf } from '@eventflow/core'
import { connectRedis, type Redis, streamKey, untilReady } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  type Link,
  openLink,
  type Server,
  startOwnRedis,
  startPipeline,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: (data) => data.key,
  async handle({ data }, tx) {
    await tx.query('INSERT INTO effects (key, n) VALUES ($1, $2)', [data.key, data.n])
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (id integer GENERATED ALWAYS AS IDENTITY, key text, n integer)')
  },
})

let redis: Server
let link: Link
let pipeline: TestPipeline
/** Connects to Redis directly, also while the link is cut. */
let direct: Redis

beforeAll(async () => {
  redis = await startOwnRedis()
  direct = connectRedis({ url: redis.adminUrl, onError: () => {} })
  await untilReady(direct, 5_000)
  link = await openLink(redis.port)
  const url = new URL(redis.adminUrl)
  url.port = String(link.port)
  pipeline = await startPipeline([step], { REDIS_URL: url.href })
  await pipeline.startWorker()
})

afterAll(async () => {
  await pipeline.stop()
  direct.disconnect()
  await link.stop()
  await redis.stop()
})

afterEach(async () => {
  link.mode = { kind: 'pass' }
  await until('Redis is connected', () => pipeline.redis.status === 'ready')
})

/** Needs five entries. */
const COUNT = 220

/** Sends a request with many events of a key, and checks that their effects come in the order of the request. */
async function sendMany(key: string) {
  const events = Array.from({ length: COUNT }, (_, n) => ({ type: 'step.done', data: { key, n } }))
  expect(await pipeline.send(events)).toMatchObject({ accepted: COUNT })
}

async function expectOrder(key: string) {
  await pipeline.drained(20_000)
  const { rows } = await pipeline.db.query('SELECT n FROM effects WHERE key = $1 ORDER BY id', [key])
  expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: COUNT }, (_, n) => n))
}

test('without a fault: the entries follow each other, and no mark is made', async () => {
  await sendMany('well')
  await expectOrder('well')
  const { rows } = await pipeline.db.query('SELECT FROM partition_marks WHERE dirty > 0')
  expect(rows).toEqual([])
})

test.each([
  ['is out of memory', 'maxmemory', '1'],
  ['has too few replicas', 'min-replicas-to-write', '1'],
])('Redis %s: nothing is added, and order is kept', async (_, name, value) => {
  await pipeline.redis.config('SET', name, value)
  await sendMany(name)
  const stream = streamKey(pipeline.prefix, partitionOf('default', name, pipeline.partitions))
  expect(await pipeline.redis.xlen(stream)).toBe(0)
  await pipeline.redis.config('SET', name, '0')
  await expectOrder(name)
})

test.each(['before the request', 'before the reply', 'after the reply'] as const)(
  'the connection is cut %s: order is kept',
  async (when) => {
    link.mode = { kind: 'cut', when }
    await sendMany(when)
    link.mode = { kind: 'pass' }
    await expectOrder(when)
  },
)

test('Redis refuses the first entry and would accept the next: none of them is added', async () => {
  const stream = streamKey(pipeline.prefix, partitionOf('default', 'halved', pipeline.partitions))
  await until('its partition is read from its stream', async () => (await direct.exists(stream)) === 1)
  const added = async () => {
    const info = (await direct.xinfo('STREAM', stream)) as unknown[]
    return info[info.indexOf('entries-added') + 1]
  }
  const addedBefore = await added()
  const refused = async () => Number(/cmdstat_xadd:.*rejected_calls=(\d+)/.exec(await direct.info('commandstats'))?.[1])
  await direct.config('RESETSTAT')
  await direct.config('SET', 'min-replicas-to-write', '1')
  // The entries arrive one after the other; all of them before the connection counts as broken.
  link.mode = { kind: 'trickle', bytes: 4_096, ms: 30 }
  const sending = sendMany('halved')
  await until('the first is refused', async () => (await refused()) > 0)
  await direct.config('SET', 'min-replicas-to-write', '0')
  await sending
  expect(await added()).toBe(addedBefore)
  link.mode = { kind: 'pass' }
  await expectOrder('halved')
})
