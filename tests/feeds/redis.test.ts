/** Runs the conformance suite of feeds on Redis Streams. */
import { randomBytes } from 'node:crypto'
import type { Feed } from '@eventflow/core'
import {
  connectRedis,
  createPublisher,
  createRedisMonitor,
  createSeal,
  FIELD,
  openRedisFeed,
  type Redis,
  streamKey,
  untilReady,
} from '@eventflow/redis'
import { eventOf, FEED_CASES, type FeedRig, openLink, startOwnRedis, until, withPort } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let server: Awaited<ReturnType<typeof startOwnRedis>>
let link: Awaited<ReturnType<typeof openLink>>
/** Past the link. */
let direct: Redis

beforeAll(async () => {
  server = await startOwnRedis()
  link = await openLink(server.port)
  direct = connectRedis({ url: server.adminUrl, onError: () => {} })
  await untilReady(direct, 5_000)
})

afterAll(async () => {
  direct.disconnect()
  await link.stop()
  await server.stop()
})

/** Resources that a rig has opened, closed after its case. */
interface Opened {
  connections: Redis[]
  feeds: Feed[]
}

async function rigOf(opened: Opened): Promise<FeedRig> {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const seal = createSeal(randomBytes(32))
  const url = withPort(server.adminUrl, link.port)
  const connected = async () => {
    const redis = connectRedis({ url, onError: () => {} })
    await untilReady(redis, 5_000)
    opened.connections.push(redis)
    return redis
  }
  const redis = await connected()
  return {
    publisher: createPublisher(redis, prefix, seal, 1_000_000),
    monitor: createRedisMonitor(redis, prefix),
    async open(name) {
      const feed = await openRedisFeed({ url, redis: await connected(), prefix, seal, name, onError: () => {} })
      opened.feeds.push(feed)
      return feed
    },
    async addForeign(partition) {
      await redis.xadd(streamKey(prefix, partition), '*', FIELD, 'not sealed by this installation')
    },
    async untilWaiting() {
      await until('a read waits', async () => / cmd=xreadgroup /.test(String(await direct.client('LIST'))))
    },
    async breakConnections() {
      const closed = opened.connections.map(
        (connection) => new Promise((resolve) => void connection.once('close', resolve)),
      )
      link.reset()
      await Promise.all(closed)
      await Promise.all(opened.connections.map((connection) => untilReady(connection, 5_000)))
    },
    async takeAway() {
      link.mode = { kind: 'refuse' }
      link.reset()
      return async () => {
        link.mode = { kind: 'pass' }
        await Promise.all(opened.connections.map((connection) => untilReady(connection, 5_000)))
      }
    },
    async replaceServer() {
      await direct.flushall()
      await server.crash(0)
      await untilReady(direct, 5_000)
    },
  }
}

test.each(FEED_CASES)('$name', async ({ play }) => {
  const opened: Opened = { connections: [], feeds: [] }
  try {
    await play(await rigOf(opened))
  } finally {
    await Promise.all(opened.feeds.map((feed) => feed.close()))
    for (const connection of opened.connections) connection.disconnect()
  }
})

test('a read is interrupted when only the connection for commands is lost; a closed feed listens to nothing', async () => {
  const redis = connectRedis({ url: withPort(server.adminUrl, link.port), onError: () => {} })
  await untilReady(redis, 5_000)
  const listeners = redis.listenerCount('close')
  const options = {
    url: server.adminUrl,
    redis,
    prefix: `t${randomBytes(4).toString('hex')}`,
    seal: createSeal(randomBytes(32)),
  }
  const feed = await openRedisFeed({ ...options, name: 'one', onError: () => {} })
  const told: unknown[] = []
  feed.onInterrupted((partitions) => told.push(partitions))
  await feed.create(0)
  const read = feed.read([0], { count: 1, blockMs: 2_000 })
  await until('the read waits', async () => / cmd=xreadgroup /.test(String(await direct.client('LIST'))))
  link.reset()
  expect((await read).interrupted).toBe(true)
  expect(told).toEqual(['all'])
  await feed.close()
  expect(redis.listenerCount('close')).toBe(listeners)
  redis.disconnect()
  expect(told).toEqual(['all'])
})

test('an entry that was deleted but not acknowledged is claimed without effect', async () => {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const options = { url: server.adminUrl, redis: direct, prefix, seal: createSeal(randomBytes(32)), onError: () => {} }
  const feed = await openRedisFeed({ ...options, name: 'one' })
  await feed.create(0)
  const publisher = createPublisher(direct, prefix, options.seal, 1_000)
  await publisher.publish([eventOf(1)])
  const { entries } = await feed.read([0], { count: 1, blockMs: 1_000 })
  await direct.xdel(streamKey(prefix, 0), entries[0]!.id)
  const next = await openRedisFeed({ ...options, name: 'two' })
  for await (const claimed of next.claim(0)) expect(claimed).toEqual([])
  await Promise.all([feed.close(), next.close()])
})
