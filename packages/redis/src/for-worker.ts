/** Redis as the engine of a worker uses it. */
import { randomBytes } from 'node:crypto'
import type { Feed, FeedMonitor, Publisher } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { createCache } from './cache.js'
import { openRedisFeed } from './feed.js'
import { createRedisMonitor } from './monitor.js'
import { createPublisher } from './publish.js'
import { createSeal } from './seal.js'

export interface RedisForWorker {
  /** Differs from that of every other process that ever had this worker's id. */
  run: string
  /** One for each lane, each under a name of its own. */
  feeds: Feed[]
  monitor: FeedMonitor
  cache: ReturnType<typeof createCache>
  publisher: Publisher
  /** Continues with another secret of the entries. */
  renewSecret(secret: Buffer): void
}

/**
 * Opens a feed for each lane of a worker, over `redis` for commands that do not block and a connection each for reads
 * that do. `secret` is that of the installation's entries. Never rejects: without Redis the feeds become ready later.
 */
export async function openRedisForWorker(options: {
  url: string
  redis: Redis
  prefix: string
  secret: Buffer
  workerId: string
  lanes: number
  /** See `createPublisher`. */
  maxStreamLength: number
  onError: (error: Error) => void
}): Promise<RedisForWorker> {
  const { redis, prefix, secret, workerId, lanes, maxStreamLength } = options
  const run = randomBytes(4).toString('hex')
  const seal = createSeal(secret)
  const names = Array.from({ length: lanes }, (_, lane) => `${workerId}:${run}:${lane}`)
  return {
    run,
    feeds: await Promise.all(names.map((name) => openRedisFeed({ ...options, seal, name }))),
    monitor: createRedisMonitor(redis, prefix),
    cache: createCache(redis, prefix),
    publisher: createPublisher(redis, prefix, seal, maxStreamLength),
    renewSecret: seal.renew,
  }
}
