/**
 * The feed of a lane from Redis Streams: one stream for each partition, read through a consumer group.
 *
 * A Redis may lose entries between two connections (in a restart or failover) without any command failing: the first
 * command after the reconnect succeeds. So every lost connection counts as an interruption of all partitions.
 */
import type { Entry, Feed } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { connectRedis, MAX_BLOCK_MS, untilReady } from './connect.js'
import { isLaterEntry, NO_ENTRY_ID } from './entry-id.js'
import * as group from './group.js'
import { claimPending, readNew } from './reading.js'
import { readRunId } from './run-id.js'
import type { Seal } from './seal.js'

export interface RedisFeedOptions {
  url: string
  /** For commands that do not block. Shared with other lanes; `close` leaves it open. */
  redis: Redis
  prefix: string
  seal: Seal
  /** The name of the lane in Redis, unique among all processes and lanes that ever existed. */
  name: string
  /** Called when the connection for blocking reads fails; it reconnects automatically. */
  onError: (error: Error) => void
}

/** How long opening a feed waits for Redis, in milliseconds. Without Redis, the feed becomes ready later. */
const OPENING_MS = 2_000

/** Opens the feed of one lane. Never rejects: a worker also starts without Redis, and its lanes then wait for it. */
export async function openRedisFeed(options: RedisFeedOptions): Promise<Feed> {
  const { url, redis, onError } = options
  const reader = connectRedis({ url, blocking: true, onError })
  const feed = createRedisFeed(reader, options)
  await Promise.all([redis, reader].map((connection) => untilReady(connection, OPENING_MS).catch(() => {})))
  return feed
}

function createRedisFeed(reader: Redis, { redis, prefix, seal, name }: RedisFeedOptions): Feed {
  const connections = [redis, reader]
  const listeners: ((partitions: 'all') => void)[] = []
  let losses = 0
  const onClose = () => {
    losses++
    for (const tell of listeners) tell('all')
  }
  // Every lane of a worker listens to the connection that they share.
  for (const connection of connections) connection.setMaxListeners(0).on('close', onClose)
  /** The client id of the reading connection, valid as long as `losses` is the same. */
  let self: { clientId: number; losses: number } | undefined
  let woken = false
  /** Ends the wait of the current read. */
  let unblock = () => {}

  /**
   * The consumer name changes with each connection. Redis may deliver an entry to a connection that is lost, before it
   * notices the loss. Under the old name, such an entry is recognized as pending for another consumer.
   */
  const consumer = () => `${name}:${losses}`

  /**
   * The two connections may lead to different servers, of which only one gets what is published now. A new connection
   * reaches the right one.
   */
  async function identifyReader(): Promise<number> {
    if (self?.losses === losses) return self.clientId
    const before = losses
    const [clientId, there, here] = await Promise.all([reader.client('ID'), readRunId(reader), readRunId(redis)])
    if (there !== here) {
      reader.disconnect(true)
      throw new Error('the connections of this worker to Redis lead to different servers')
    }
    self = { clientId: Number(clientId), losses: before }
    return self.clientId
  }

  async function* claim(partition: number): AsyncGenerator<Entry[]> {
    const before = losses
    for (let from: string | undefined = NO_ENTRY_ID; from !== undefined; ) {
      const claimed: Awaited<ReturnType<typeof claimPending>> = await claimPending(redis, prefix, seal, consumer(), {
        partition,
        from,
      })
      if (losses !== before) return
      yield claimed.entries
      from = claimed.next
    }
    if (losses !== before) return
    await group.removeIdleConsumers(redis, prefix, consumer(), partition)
  }

  return {
    isReady: () => redis.status === 'ready',
    onInterrupted: (tell) => void listeners.push(tell),
    identity: () => readRunId(redis),
    exists: (partition) => group.hasGroup(redis, prefix, partition),
    create: (partition) => group.createGroup(redis, prefix, partition),
    lastId: (partition) => group.readLastEntryId(redis, prefix, partition),
    isLater: isLaterEntry,
    claim,

    async read(partitions, { count, blockMs }) {
      const before = losses
      woken = false
      const clientId = await identifyReader()
      if (woken || losses !== before) return { entries: [], strays: [], interrupted: losses !== before }
      unblock = () => void redis.client('UNBLOCK', clientId).catch(() => {})
      const options = { count, blockMs: Math.min(blockMs, MAX_BLOCK_MS) }
      try {
        const reading = await readNew(reader, prefix, seal, consumer(), partitions, options)
        return { ...reading, interrupted: losses !== before }
      } finally {
        unblock = () => {}
      }
    },

    wake() {
      woken = true
      unblock()
    },

    firstUnread: (partitions) => group.readFirstUndelivered(redis, prefix, seal, partitions),
    acknowledge: (entries) => group.acknowledge(redis, prefix, entries),
    removeUpTo: (partition, id) => group.removeUpTo(redis, prefix, partition, id),
    // Nothing to do: the next owner claims the pending entries.
    release: async () => {},

    async close() {
      for (const connection of connections) connection.off('close', onClose)
      reader.disconnect()
    },
  }
}
