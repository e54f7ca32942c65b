/** Quick scenarios of what befalls Redis and its streams. */
import { setTimeout as delay } from 'node:timers/promises'
import { GROUP, streamKey } from '@eventflow/stream'
import { until } from '@eventflow/testkit'
import type { QuickScenario } from './stage.js'
import { inHand, inStreams, partitionOfKey, processed, takenAway, whileFull, working } from './steps.js'

/** Redis forgets everything, with a backlog and more of the same keys to come. */
export const forgetsBacklog: QuickScenario = async (stage) => {
  const { clients, redis, pipeline } = stage
  const keys = ['forgotten 1', 'forgotten 2', 'forgotten 3'].map((key) => ({ key }))
  await clients.send(keys)
  await redis.flushall()
  await clients.send(keys)
  await pipeline.startWorker()
}

/** The consumer group is made by whoever reads first, after entries were added. */
export const groupMadeLate: QuickScenario = async (stage) => {
  const { clients, redis, pipeline } = stage
  const key = 'group made late'
  const worker = await working(stage)
  await worker.stop()
  await clients.send([{ key }])
  await redis.xgroup('DESTROY', streamKey(pipeline.prefix, partitionOfKey(key)), GROUP)
  await working(stage)
}

/** Redis takes no entry for a moment: what is accepted then comes before what is accepted later. */
export const refusesAnEntry: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'refused by Redis'
  await working(stage)
  await processed(db, await clients.send([{ key }]))
  await whileFull(stage, () => clients.send([{ key }]))
  await clients.send([{ key }])
}

/** An entry of an event comes again, long after it was settled. */
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

/** A replica that is behind takes over while a batch is worked on: no command of the reader notices. */
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

/** A replica that is behind takes over while no worker is there. */
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

/** A partition changes hands with many entries in hand, more than are claimed at once. */
export const claimsMany: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'claimed in great number'
  const worker = await working(stage)
  await worker.stop()
  await clients.send([{ key, mood: 'slow' }])
  for (let n = 0; n < 45; n++) await clients.send([{ key }])
  await working(stage)
  await inHand(stage, key, 40)
  await takenAway(db, key)
  await clients.send([{ key }])
}
claimsMany.settings = { EVENTFLOW_LANES: '1' }

/** Events keep coming while a partition goes back from Postgres to its stream, more than are read at once. */
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
    await delay(10) // so that others get a turn
  }
  await returned
  await clients.send([{ key }])
}
