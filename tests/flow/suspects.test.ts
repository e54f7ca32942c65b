/**
 * Suspects that their worker survives, though it could not settle one; and the pending events of a partition that is
 * given up meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { CONSUMER_GROUP, partitionOf } from '@eventflow/core'
import { streamKey } from '@eventflow/redis'
import { defineEvent, type Enricher, type EventDefinition, Type } from '@eventflow/sdk'
import { acceptEvents, administer, newEvent, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

let pipeline: TestPipeline

afterEach(() => pipeline.stop())

test('a suspect that is fenced off is as suspect as before', async () => {
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
  // As if one worker had died while it ran this event alone.
  await pipeline.db.query(
    `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, crashes)
     SELECT tenant_id, event_id, seq, partition, 0, now(), 1 FROM raw_events WHERE event_id = $1`,
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

test('no failure counts as a crash: neither if the suspicion cannot be withdrawn, nor with a lost answer', async () => {
  let failures = 3
  const recorded: number[] = []
  const watching: Enricher = {
    name: 'watching',
    async enrich(events) {
      recorded.push((await pipeline.db.query('SELECT crashes FROM retries')).rows[0].crashes)
      return events.map(() => ({}))
    },
  }
  // As if another transaction were in the way: the event is to wait, and nothing of it is written.
  const handle: EventDefinition['handle'] = async (_, tx) => {
    if (failures-- > 0) await tx.query(`DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`)
  }
  pipeline = await startPipeline([
    defineEvent({ type: 'step.done', schema: Type.Object({}), enrich: [watching], handle }),
  ])
  await pipeline.send([{ type: 'step.done', data: {} }])
  await pipeline.db.query(`
    INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, crashes)
    SELECT tenant_id, event_id, seq, partition, 0, now(), 1 FROM raw_events`)
  await administer(
    `CREATE SEQUENCE refusals;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
      BEGIN IF nextval('refusals') <= 3 THEN RAISE 'not now'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON retries FOR EACH ROW WHEN (NEW.crashes < OLD.crashes) EXECUTE FUNCTION refuse()`,
    pipeline.databaseUrl,
  )
  await pipeline.startWorker()
  await pipeline.drained()
  expect(recorded).toEqual([2, 2, 2, 2])
})

/**
 * As if the next owner of each partition were the second to die with the last entries pending; returns the number of
 * those entries.
 */
async function dieTwice(): Promise<number> {
  let entries = 0
  for (let partition = 0; partition < pipeline.partitions; partition++) {
    const stream = streamKey(pipeline.prefix, partition)
    const read = await pipeline.redis.xreadgroup('GROUP', CONSUMER_GROUP, 'dead', 'COUNT', 100, 'STREAMS', stream, '>')
    entries += (read as [string, unknown[]][] | null)?.[0]?.[1].length ?? 0
  }
  await pipeline.db.query(`UPDATE partitions SET owner = 'dead', lease_expires_at = now(), crashes = 1`)
  return entries
}

/** Starts a worker, and stops it when the stream of the partition is in use. */
async function useStream(partition: number): Promise<void> {
  const worker = await pipeline.startWorker()
  await until('its stream is in use', async () => {
    const text = 'SELECT FROM partitions WHERE id = $1 AND redis_run_id IS NOT NULL'
    return (await pipeline.db.query(text, [partition])).rows.length > 0
  })
  await worker.stop()
}

test.each([
  [
    'waits in retries',
    'INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at) VALUES ($1, $2, $3, $4, 1, now())',
  ],
  ['was never published', 'SELECT $1::text, $2::uuid, $3::bigint, $4::smallint'],
])('an event that %s is a suspect, too: the last owners may have died of it', async (_, statement) => {
  const crashes: (number | undefined)[] = []
  const watching: Enricher = {
    name: 'watching',
    async enrich(events) {
      const { rows } = await pipeline.db.query('SELECT crashes FROM retries WHERE event_id = $1', [events[0]!.id])
      crashes.push(rows[0]?.crashes)
      return events.map(() => ({}))
    },
  }
  pipeline = await startPipeline([
    defineEvent({ type: 'step.done', schema: Type.Object({}), enrich: [watching], handle: async () => {} }),
  ])
  await useStream(3)
  // Accepted an hour ago, and in no stream.
  const [event] = await acceptEvents(pipeline.db, [newEvent({ type: 'step.done', key: '', partition: 3 })])
  await pipeline.db.query(`UPDATE raw_events SET accepted_at = now() - interval '1 h' WHERE seq = $1`, [event!.seq])
  await pipeline.db.query(statement, [event!.tenantId, event!.id, event!.seq, 3])
  await dieTwice()
  await pipeline.startWorker()
  await pipeline.drained()
  expect(crashes).toEqual([1])
})

const range = (length: number) => Array.from({ length }, (_, n) => n)
const numbers = (length: number) => range(length).map((n) => ({ type: 'step.numbered', data: { n } }))

test('a mark between suspects gives up all that follow: none is recorded before those ahead of it', async () => {
  const done: number[] = []
  const numbered = defineEvent({
    type: 'step.numbered',
    schema: Type.Object({ n: Type.Integer() }),
    key: () => 'one',
    handle: async ({ data }, tx) => {
      // As if Redis had refused an entry of the partition at that moment.
      if (data.n === 0) await tx.query('UPDATE partition_marks SET dirty = dirty + 1')
      done.push(data.n)
    },
  })
  pipeline = await startPipeline([numbered])
  await useStream(partitionOf('default', 'one', pipeline.partitions))
  await pipeline.send(numbers(100))
  await dieTwice()

  await pipeline.startWorker()
  await pipeline.drained()
  expect(done).toEqual(range(100))
})

/** A definition of `step.numbered` in `keys` orders, which records the size of each batch, and waits as `pace` says. */
function watched(keys: number) {
  const batches: number[] = []
  const watch = { batches, pace: async () => {} }
  const watching: Enricher = {
    name: 'watching',
    async enrich(events) {
      batches.push(events.length)
      await watch.pace()
      return events.map(() => ({}))
    },
  }
  const definition = defineEvent({
    type: 'step.numbered',
    schema: Type.Object({ n: Type.Integer() }),
    key: ({ n }) => `key ${n % keys}`,
    enrich: [watching],
    handle: async () => {},
  })
  return { watch, definition }
}

/** Opens once, for all that wait. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

test('suspects run a few at a time; the next owner tries those that a clean stop leaves', async () => {
  const { watch, definition } = watched(1)
  pipeline = await startPipeline([definition])
  const partition = partitionOf('default', 'key 0', pipeline.partitions)
  await useStream(partition)
  await pipeline.send(numbers(50))
  await dieTwice()

  const first = await pipeline.startWorker()
  let stopped = Promise.resolve()
  watch.pace = async () => {
    stopped = first.stop()
  }
  await until('it is processing some', () => watch.batches.length > 0)
  await stopped
  watch.pace = async () => {}
  expect(watch.batches).toEqual([32])
  const { rows } = await pipeline.db.query('SELECT crashes FROM partitions WHERE id = $1', [partition])
  expect(rows).toEqual([{ crashes: 2 }])

  await pipeline.startWorker()
  await pipeline.drained()
  expect(watch.batches).toEqual([32, 18])
})

test('a partition to be released does not wait for suspects of others', async () => {
  const { watch, definition } = watched(64)
  pipeline = await startPipeline([definition], { EVENTFLOW_LANES: '1', EVENTFLOW_LOG_LEVEL: 'info' })
  await useStream(0)
  await pipeline.send(numbers(640))
  const entries = await dieTwice()

  const given = () => pipeline.logged.some(({ msg }) => msg === 'giving partitions back')
  const owners = async () => (await pipeline.db.query('SELECT DISTINCT owner FROM partitions ORDER BY owner')).rows
  const [first, next] = [gate(), gate()]
  watch.pace = () => first.opened
  const a = await pipeline.startWorker('a')
  await until('it is processing some', () => watch.batches.length === 1)
  const b = await pipeline.startWorker('b')
  await until('it is asked to give partitions back', given)
  watch.pace = () => next.opened
  first.open()
  await until('the other one has them', async () => (await owners()).length === 2)
  next.open()
  await pipeline.drained()
  const claimed = async ({ metrics }: typeof a) => (await metrics.entriesClaimed.get()).values[0]!.value
  expect((await claimed(a)) + (await claimed(b))).toBe(entries)
})

test('suspects of two lanes run one at a time: with the one that kills the worker, no other is blamed', async () => {
  let inHand = 0
  let atOnce = 0
  const counting: Enricher = {
    name: 'counting',
    async enrich(events) {
      atOnce = Math.max(atOnce, ++inHand)
      await delay(20) // the time for another lane to begin with its own
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
    `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, crashes)
     SELECT tenant_id, event_id, seq, partition, 0, now(), 1 FROM raw_events`,
  )
  await pipeline.startWorker()
  await pipeline.drained()
  expect(atOnce).toBe(1)
})
