/** Suspects: whose worker has lived, though it could not settle one; and what of a partition is given up on their way. */
import { setTimeout as delay } from 'node:timers/promises'
import { partitionOf } from '@eventflow/core'
import { defineEvent, type Enricher, Type } from '@eventflow/pipeline'
import { GROUP, streamKey } from '@eventflow/stream'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

let pipeline: TestPipeline

afterEach(() => pipeline.stop())

test('a suspect that is fenced off is as suspect as it was', async () => {
  let meet: () => Promise<void> = async () => {}
  const meeting: Enricher = {
    name: 'meeting',
    async enrich(events) {
      await meet()
      return events.map(() => ({}))
    },
  }
  pipeline = await startPipeline([
    defineEvent({ type: 'step.done', schema: Type.Object({}), enrich: [meeting], handle: async () => {} }),
  ])
  const { items } = await pipeline.send([{ type: 'step.done', data: {} }])
  const id = items[0]!.id
  // As if one worker had died with it alone in hand.
  await pipeline.db.query(
    `INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at, crashes)
     SELECT tenant_id, event_id, partition, 0, now(), 1 FROM raw_events WHERE event_id = $1`,
    [id],
  )
  const crashes: number[] = []
  meet = async () => {
    const { rows } = await pipeline.db.query('SELECT crashes FROM retries WHERE event_id = $1', [id])
    crashes.push(rows[0].crashes)
    if (crashes.length < 4) await pipeline.db.query('UPDATE partitions SET owner = NULL, epoch = epoch + 1')
  }
  await pipeline.startWorker()
  await pipeline.drained()
  expect(crashes).toEqual([2, 2, 2, 2])
})

test('a mark that is made between two suspects gives up all that follow: none is written down before those ahead of it', async () => {
  const done: number[] = []
  const numbered = defineEvent({
    type: 'step.numbered',
    schema: Type.Object({ n: Type.Integer() }),
    key: () => 'one',
    handle: async ({ data }, tx) => {
      // As if Redis had refused some entry of the partition just then.
      if (data.n === 0) await tx.query('UPDATE partition_marks SET dirty = dirty + 1')
      done.push(data.n)
    },
  })
  pipeline = await startPipeline([numbered])
  const partition = partitionOf('default', 'one', pipeline.partitions)
  const before = await pipeline.startWorker()
  await until('its stream is in use', async () => {
    const text = 'SELECT FROM partitions WHERE id = $1 AND redis_run_id IS NOT NULL'
    return (await pipeline.db.query(text, [partition])).rows.length > 0
  })
  await before.stop()

  // Its next two owners die with the events in hand.
  await pipeline.send([0, 1, 2].map((n) => ({ type: 'step.numbered', data: { n } })))
  const stream = streamKey(pipeline.prefix, partition)
  await pipeline.redis.xreadgroup('GROUP', GROUP, 'dead', 'COUNT', 10, 'STREAMS', stream, '>')
  await pipeline.db.query(`UPDATE partitions SET owner = 'dead', lease_expires_at = now(), crashes = 1`)

  await pipeline.startWorker()
  await pipeline.drained()
  expect(done).toEqual([0, 1, 2])
})

test('suspects of two lanes go one at a time: with the one that kills the worker, no other is blamed', async () => {
  let inHand = 0
  let atOnce = 0
  const counting: Enricher = {
    name: 'counting',
    async enrich(events) {
      atOnce = Math.max(atOnce, ++inHand)
      await delay(20) // so long another lane has to begin with its own
      inHand--
      return events.map(() => ({}))
    },
  }
  const schema = Type.Object({ n: Type.String() })
  pipeline = await startPipeline([
    defineEvent({ type: 'step.keyed', schema, key: ({ n }) => n, enrich: [counting], handle: async () => {} }),
  ])
  const keys = Array.from({ length: 16 }, (_, n) => ({ type: 'step.keyed', data: { n: `key ${n}` } }))
  await pipeline.send(keys)
  await pipeline.db.query(
    `INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at, crashes)
     SELECT tenant_id, event_id, partition, 0, now(), 1 FROM raw_events`,
  )
  await pipeline.startWorker()
  await pipeline.drained()
  expect(atOnce).toBe(1)
})
