/** The conformance suite of feeds, on Redis Streams. */
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
import { FEED_CASES, type FeedRig, openLink, startOwnRedis, withPort } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let server: Awaited<ReturnType<typeof startOwnRedis>>
let link: Awaited<ReturnType<typeof openLink>>

beforeAll(async () => {
  server = await startOwnRedis()
  link = await openLink(server.port)
})

afterAll(async () => {
  await link.stop()
  await server.stop()
})

/** What a rig has opened and must close after its case. */
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
    async breakConnections() {
      link.reset()
      await untilReady(redis, 5_000)
    },
    async replaceServer() {
      await redis.flushall()
      await server.crash(0)
      link.target = server.port
      link.reset()
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

test('there are cases', () => {
  expect(FEED_CASES.length).toBeGreaterThan(15)
})
