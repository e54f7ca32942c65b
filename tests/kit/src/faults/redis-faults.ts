/** Faults of Redis, which may lose anything at any time. */
import { readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CONSUMER_GROUP } from '@eventflow/core'
import type { LocalDatabase } from '@eventflow/local'
import { connectRedis, type Redis, streamKey, untilReady } from '@eventflow/redis'
import { whileLocked } from '../locks.js'
import type { Random } from '../random.js'
import { until } from '../until.js'
import type { Fault, FaultKind } from './fault.js'
import { PARTITIONS, type Stack } from './stack.js'

/** The faults' own connection, once it works: the previous fault may just have cut it. */
async function connected({ directRedis }: Stack): Promise<Redis> {
  await untilReady(directRedis, 10_000)
  return directRedis
}

const flushed: FaultKind = (stack) => redisFault('FLUSHALL', async () => (await connected(stack)).flushall())

const streamDeleted: FaultKind = (stack, random) =>
  onSomeStream('stream deleted', stack, random, (redis, stream) => redis.del(stream))

const groupDestroyed: FaultKind = (stack, random) =>
  onSomeStream('group destroyed', stack, random, async (redis, stream) =>
    (await redis.exists(stream)) ? redis.xgroup('DESTROY', stream, CONSUMER_GROUP) : 0,
  )

/**
 * Applies `strike` to the first existing stream from a random one on: some may be gone after the previous fault.
 * `strike` returns 0 if it had no effect.
 */
function onSomeStream(
  name: string,
  stack: Stack,
  random: Random,
  strike: (redis: Redis, stream: string) => Promise<unknown>,
): Fault {
  const first = random.between(0, PARTITIONS - 1)
  return redisFault(name, async () => {
    const redis = await connected(stack)
    await until('there is a stream', async () => {
      for (let n = 0; n < PARTITIONS; n++)
        if ((await strike(redis, streamKey(stack.prefix, (first + n) % PARTITIONS))) !== 0) return true
      return false
    })
  })
}

const full: FaultKind = (stack, random) => {
  const ms = random.between(1_000, 5_000)
  return {
    ...redisFault('out of memory', async () => {}),
    async run() {
      const redis = await connected(stack)
      await redis.config('SET', 'maxmemory', '1')
      await delay(ms)
      await redis.config('SET', 'maxmemory', '0')
    },
  }
}

const restarted: FaultKind = ({ redis }, random) => {
  const downMs = random.between(0, 4_000)
  return { ...redisFault('killed and restarted', async () => {}), run: () => redis.crash(downMs) }
}

const restartedEmpty: FaultKind = ({ redis }, random) => {
  const downMs = random.between(0, 2_000)
  return { ...redisFault('restarted without its data', async () => {}), run: () => redis.crash(downMs, removeLog) }
}

/** As after a power loss: the last writes never reached the disk. */
const restartedBehind: FaultKind = ({ redis }, random) => {
  const bytes = random.between(1_000, 500_000)
  return {
    ...redisFault('restarted without its last writes', async () => {}),
    run: () => redis.crash(0, (dir) => cutLog(dir, bytes)),
  }
}

/** A replica takes over that lacks the last writes. */
const failedOver: FaultKind = (stack, random) => {
  const tailMs = random.between(50, 500)
  return {
    ...redisFault('failover to a replica that is behind', async () => {}),
    run: () => stack.redis.replace((replica) => takeOver(replica, stack, tailMs)),
  }
}

/**
 * Every settling transaction waits for a lock of another session, while Redis is down and accepted events need a mark.
 */
const awayWithSlowSettles: FaultKind = ({ redis, db }, random) => {
  const downMs = random.between(1_000, 3_000)
  return {
    ...redisFault('away while settles are slow', async () => {}),
    takes: ['redis', 'postgres'],
    run: () => redis.crash(0, () => whileLocked(db, 'totals', () => delay(downMs))),
  }
}

export const redisFaults: readonly FaultKind[] = [
  ...[flushed, streamDeleted, groupDestroyed, full],
  ...[restarted, restartedEmpty, restartedBehind, failedOver, awayWithSlowSettles],
]

/** An instantaneous fault. Without effect if Redis is down at the moment. */
function redisFault(name: string, strike: () => Promise<unknown>): Fault {
  return {
    name: `redis: ${name}`,
    victim: 'redis',
    takes: ['redis'],
    async run(struck) {
      await strike()
      struck()
    },
  }
}

async function takeOver(replica: LocalDatabase, stack: Stack, tailMs: number): Promise<void> {
  const { directLink, links, redis } = stack
  const connection = connectRedis({ url: replica.adminUrl, onError: () => {} })
  try {
    await untilReady(connection, 5_000)
    await (await connected(stack)).config('SET', 'repl-diskless-sync-delay', '0')
    await connection.config('SET', 'masterauth', new URL(redis.adminUrl).password)
    await connection.replicaof('127.0.0.1', redis.port)
    await until('the replica is in step', async () =>
      (await connection.info('replication')).includes('master_link_status:up'),
    )
    await connection.replicaof('NO', 'ONE')
    await delay(tailMs) // writes of this time are lost
  } finally {
    connection.disconnect()
  }
  const redisLinks = [...links].filter(([name]) => name.endsWith(' redis')).map(([, link]) => link)
  for (const link of [...redisLinks, directLink]) {
    link.target = replica.port
    link.reset()
  }
}

const LOG_FOLDER = join('data', 'appendonlydir')

async function removeLog(dir: string): Promise<void> {
  await rm(join(dir, LOG_FOLDER), { recursive: true, force: true })
}

async function cutLog(dir: string, bytes: number): Promise<void> {
  const folder = join(dir, LOG_FOLDER)
  const [last] = (await readdir(folder))
    .filter((name) => name.endsWith('.incr.aof'))
    .sort()
    .reverse()
  if (!last) return
  const file = join(folder, last)
  await truncate(file, Math.max(0, (await stat(file)).size - bytes))
}
