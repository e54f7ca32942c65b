/** Whether a worker starts a partition from its stream or from Postgres, and why. */
import { partitionOf } from '@eventflow/core'
import { markDirty } from '@eventflow/db'
import { streamKey } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  type Server,
  sessionsWaiting,
  startOwnRedis,
  startPipeline,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

let pipeline: TestPipeline

const start = (settings: Record<string, string> = {}) => {
  const note = defineEvent({ type: 'note.taken', schema: Type.Object({ n: Type.Integer() }), key: ({ n }) => `${n}` })
  return startPipeline([note], { EVENTFLOW_LOG_LEVEL: 'debug', EVENTFLOW_LANES: '1', ...settings })
}

beforeEach(async () => {
  pipeline = await start()
})

afterEach(() => pipeline.stop())

/** Some events for each partition. */
const events = Array.from({ length: 200 }, (_, n) => ({ type: 'note.taken', data: { n } }))

const rows = async (text: string, values: unknown[] = []) => (await pipeline.db.query(text, values)).rows

/** The partitions that were read from Postgres, with the reasons, from the log lines after a position. */
function told(from: number): Record<number, string> {
  const lines = pipeline.logged.slice(from).filter(({ msg }) => msg === 'catching up from Postgres')
  return Object.fromEntries(lines.map(({ partition, reason }) => [partition, reason]))
}

const untilAllInUse = () =>
  until('the streams are in use', async () => {
    const unused = `SELECT FROM partitions JOIN partition_marks USING (id) WHERE dirty > 0 OR redis_run_id IS NULL`
    return (await rows(unused)).length === 0
  })

/**
 * Lets a new worker start all partitions, work and stop. Returns those that it read from Postgres, with the reasons.
 */
async function begun(): Promise<Record<number, string>> {
  const from = pipeline.logged.length
  const worker = await pipeline.startWorker()
  await pipeline.send(events)
  await pipeline.drained()
  await untilAllInUse()
  await worker.stop()
  return told(from)
}

test('complete streams are read, and nothing else', async () => {
  expect(new Set(events.map(({ data: { n } }) => partitionOf('default', `${n}`, pipeline.partitions))).size).toBe(16)
  expect(new Set(Object.values(await begun()))).toEqual(new Set(['first start']))
  expect(await begun()).toEqual({})
})

test('events that a stream may lack are read from Postgres, and the reason is logged', async () => {
  await begun()
  await markDirty(pipeline.db, [1])
  await pipeline.redis.del(streamKey(pipeline.prefix, 2))
  await rows(`UPDATE partitions SET redis_run_id = 'another' WHERE id = 3`)
  await rows('UPDATE partitions SET redis_run_id = NULL WHERE id = 4')
  expect(await begun()).toEqual({ 1: 'dirty', 2: 'stream lost', 3: 'redis restarted', 4: 'stream lost' })
  expect(await begun()).toEqual({})
})

test('a worker that has lost the lease creates no stream: the next owner would take an empty one for complete', async () => {
  await pipeline.startWorker()
  await pipeline.send(events)
  await pipeline.drained()
  await untilAllInUse()
  const stranger = await pipeline.db.connect()
  await stranger.query('BEGIN; SELECT FROM partitions WHERE id = 2 FOR UPDATE')
  await pipeline.redis.del(streamKey(pipeline.prefix, 2))
  await until('it is to be noted that the stream is gone', async () => (await sessionsWaiting(pipeline.db)).length > 0)
  await stranger.query(`UPDATE partitions SET owner = 'b', epoch = epoch + 1, lease_expires_at = now() + interval '1 h'
                        WHERE id = 2`)
  await stranger.query('COMMIT')
  stranger.release()
  // Its lane continues with what it has.
  const kept = events.filter(({ data: { n } }) => partitionOf('default', `${n}`, pipeline.partitions) !== 2)
  await pipeline.send(kept)
  await pipeline.drained()
  expect(await pipeline.redis.exists(streamKey(pipeline.prefix, 2))).toBe(0)
})

describe('a Redis of its own', () => {
  let server: Server

  beforeEach(async () => {
    server = await startOwnRedis()
    await pipeline.stop()
    pipeline = await start({ REDIS_URL: server.adminUrl })
    await begun()
  })

  afterEach(async () => {
    await pipeline.stop()
    pipeline = await start()
    await server.stop()
  })

  test.each(['xinfo', 'info'])(
    'that will not answer %s: everything is read from Postgres, until it does',
    async (command) => {
      await pipeline.redis.call('ACL', 'SETUSER', 'default', `-${command}`)
      const from = pipeline.logged.length
      const worker = await pipeline.startWorker()
      await pipeline.send(events)
      await pipeline.drained()
      expect(new Set(Object.values(told(from)))).toEqual(
        new Set([command === 'info' ? 'redis restarted' : 'redis away']),
      )
      await pipeline.redis.call('ACL', 'SETUSER', 'default', `+${command}`)
      await untilAllInUse()
      await worker.stop()
    },
  )

  test('that will not recreate a stream: its partition is read from Postgres, until it does', async () => {
    await pipeline.redis.call('ACL', 'SETUSER', 'default', '-xgroup|create')
    await pipeline.redis.del(streamKey(pipeline.prefix, 2))
    const from = pipeline.logged.length
    const worker = await pipeline.startWorker()
    await pipeline.send(events)
    await pipeline.drained()
    expect(told(from)).toEqual({ 2: 'redis away' })
    expect(pipeline.logged.slice(from).filter(({ level }) => level >= 40)).toEqual([])
    await pipeline.redis.call('ACL', 'SETUSER', 'default', '+xgroup|create')
    await untilAllInUse()
    await worker.stop()
  })
})
