/** Quick scenarios of faults of Redis and its streams. */
import { setTimeout as delay } from 'node:timers/promises'
import { CONSUMER_GROUP } from '@eventflow/core'
import { streamKey } from '@eventflow/redis'
import { sessionsWaiting, until, whileLocked } from '@eventflow/testkit'
import type { QuickScenario } from './stage.js'
import { inHand, inStreams, partitionOfKey, processed, takenAway, whileFull, working } from './steps.js'

/** Redis loses everything, with a backlog and more events of the same keys to come. */
export const forgetsBacklog: QuickScenario = async (stage) => {
  const { clients, redis, pipeline } = stage
  const keys = ['forgotten 1', 'forgotten 2', 'forgotten 3'].map((key) => ({ key }))
  await clients.send(keys)
  await redis.flushall()
  await clients.send(keys)
  await pipeline.startWorker()
}

/** The consumer group is created by its first reader, after entries were added. */
export const groupMadeLate: QuickScenario = async (stage) => {
  const { clients, redis, pipeline } = stage
  const key = 'group made late'
  const worker = await working(stage)
  await worker.stop()
  await clients.send([{ key }])
  await redis.xgroup('DESTROY', streamKey(pipeline.prefix, partitionOfKey(key)), CONSUMER_GROUP)
  await working(stage)
}

/** Redis refuses entries for a moment: events accepted then precede events accepted later. */
export const refusesAnEntry: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'refused by Redis'
  await working(stage)
  await processed(db, await clients.send([{ key }]))
  await whileFull(stage, () => clients.send([{ key }]))
  await clients.send([{ key }])
}

/** An entry of an event arrives again, long after it was settled. */
export const deliversTwice: QuickScenario = async (stage) => {
  const { clients, db, redis, pipeline } = stage
  const key = 'delivered twice'
  const stream = streamKey(pipeline.prefix, partitionOfKey(key))
  const worker = await working(stage)
  await worker.stop()
  const ids = await clients.send([{ key }])
  const [[, fields]] = (await redis.xrevrange(stream, '+', '-', 'COUNT', 1)) as [[string, string[]]]
  await working(stage)
  await processed(db, ids)
  await redis.xadd(stream, '*', ...fields)
  await until('the entry is gone', async () => (await redis.xlen(stream)) === 0)
}

/** A replica that is behind takes over while a batch is processed: no command of the reader notices. */
export const failsOverDuringABatch: QuickScenario = async (stage) => {
  const { clients, snapshotRedis } = stage
  const key = 'failed over during a batch'
  await working(stage)
  const failOver = await snapshotRedis()
  await clients.send([{ key, mood: 'slow' }])
  await inHand(stage, key)
  await clients.send([{ key }])
  await failOver()
  await clients.send([{ key }])
}

/** A replica that is behind takes over while no worker is running. */
export const failsOverBetweenOwners: QuickScenario = async (stage) => {
  const { clients, snapshotRedis } = stage
  const key = 'failed over between owners'
  const worker = await working(stage)
  const failOver = await snapshotRedis()
  await worker.stop()
  await clients.send([{ key }])
  await failOver()
  await clients.send([{ key }])
  await working(stage)
}

/** A partition changes hands with many pending entries, more than are claimed at once. */
export const claimsMany: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'claimed in great number'
  const worker = await working(stage)
  await worker.stop()
  await clients.send([{ key, mood: 'slow' }])
  for (let n = 0; n < 45; n++) await clients.send([{ key }])
  await working(stage)
  await inHand(stage, key, 12)
  await takenAway(db, key)
  await clients.send([{ key }])
}
claimsMany.settings = { EVENTFLOW_LANES: '1' }

/** Events keep coming while a partition returns from Postgres to its stream, more than are read at once. */
export const sendsWhileItAims: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'sent while it aims'
  await working(stage)
  await whileFull(stage, () => clients.send([{ key }]))
  let back = false
  const returned = inStreams(db).finally(() => {
    back = true
  })
  while (!back) {
    await clients.send(Array.from({ length: 25 }, () => ({ key })))
    await delay(10) // to yield to the others
  }
  await returned
  await clients.send([{ key }])
}

/** A former owner of a partition is given an entry after the new owner has claimed the pending ones. */
export const readByAZombie: QuickScenario = async (stage) => {
  const { clients, redis, pipeline } = stage
  const key = 'read by a zombie'
  await working(stage)
  // While its only lane is busy it does not read the entry itself.
  await clients.send([{ key: 'keeps the lane busy', mood: 'slow' }])
  await inHand(stage, 'keeps the lane busy')
  await clients.send([{ key }])
  const stream = streamKey(pipeline.prefix, partitionOfKey(key))
  await redis.xreadgroup('GROUP', CONSUMER_GROUP, 'a former owner', 'COUNT', 1, 'STREAMS', stream, '>')
  await clients.send([{ key }])
}
readByAZombie.settings = { EVENTFLOW_LANES: '1' }

/** A request has more events of a key than an entry holds. */
export const sendsARun: QuickScenario = async (stage) => {
  await working(stage)
  await stage.clients.send(Array.from({ length: 120 }, () => ({ key: 'a run' })))
}

/** Redis refuses the first entries of a request, and would accept the others. */
export const refusesTheFirstEntries: QuickScenario = async (stage) => {
  const { clients, redis, links } = stage
  await working(stage)
  const refused = async () => Number(/cmdstat_xadd:.*rejected_calls=(\d+)/.exec(await redis.info('commandstats'))?.[1])
  // Only this command: a read is refused too when replicas are missing, and its lane would turn to Postgres.
  await redis.call('ACL', 'SETUSER', 'eventflow', '-xadd')
  // The entries arrive so slowly that Redis accepts entries again before the last has arrived.
  links.redis.mode = { kind: 'trickle', bytes: 2_048, ms: 40 }
  const sent = clients.send(Array.from({ length: 220 }, () => ({ key: 'its first entries are refused' })))
  await until('the first is refused', async () => (await refused()) > 0)
  await redis.call('ACL', 'SETUSER', 'eventflow', '+xadd')
  links.redis.mode = { kind: 'pass' }
  await sent
}

/** Redis refuses an entry just when everything before it is settled, and its partition returns to its stream. */
export const refusesOnTheWayBack: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'refused on the way back'
  await working(stage)
  for (let n = 0; n < 5; n++) {
    await whileFull(stage, () => clients.send([{ key }]))
    await processed(db, await clients.send([{ key }]))
  }
  await inStreams(db)
}

/** Redis refuses an entry while a settling transaction of its partition waits for a lock of another session. */
export const refusesWhileSettling: QuickScenario = async (stage) => {
  const { clients, db, claim } = stage
  const key = 'refused while it is settled'
  await working(stage)
  await whileLocked(db, 'totals', async () => {
    await clients.send([{ key }])
    const [settle] = await until('the settle waits', async () => {
      const waiting = await sessionsWaiting(db)
      return waiting.length > 0 && waiting
    })
    await whileFull(stage, () => clients.send([{ key }]))
    const stillWaits = (await sessionsWaiting(db)).includes(settle!)
    claim('acceptance does not wait for a settle', stillWaits)
  })
}
