/** Ownership of partitions when workers restart, share an id, or are busy: with leases of a second. */
import { CONSUMER_GROUP, partitionOf } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { streamKey } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import { sessionsWaiting, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

let pipeline: TestPipeline
/** Blocks every event whose `waits` is true, until it is opened. */
let gate: { entered: Promise<void>; open: () => void }
let passGate: () => Promise<void>

const step = defineEvent({
  type: 'own.step',
  schema: Type.Object({ key: Type.String(), n: Type.Integer(), waits: Type.Optional(Type.Boolean()) }),
  key: ({ key }) => key,
  enrich: [
    {
      name: 'gate',
      enrich: async (events) => {
        if (events.some(({ data }) => data.waits)) await passGate()
        return events.map(() => ({}))
      },
    },
  ],
  prepare: (tx) =>
    tx.query(
      'CREATE TABLE IF NOT EXISTS done (at bigint GENERATED ALWAYS AS IDENTITY, key text, n integer)',
    ) as unknown as Promise<void>,
  handle: async ({ data }, tx) => {
    await tx.query('INSERT INTO done (key, n) VALUES ($1, $2)', [data.key, data.n])
  },
})

beforeEach(async () => {
  let enter = () => {}
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  gate = {
    entered: new Promise<void>((resolve) => {
      enter = resolve
    }),
    open,
  }
  passGate = () => {
    enter()
    return opened
  }
  pipeline = await startPipeline([step], { EVENTFLOW_LEASE_SECONDS: '1', EVENTFLOW_LOG_LEVEL: 'info' })
})

afterEach(async () => {
  gate.open()
  await pipeline.stop()
})

const event = (key: string, n: number, more: object = {}) => ({ type: 'own.step', data: { key, n, ...more } })
const rows = async (text: string, values: unknown[] = [], db: Db = pipeline.db) => (await db.query(text, values)).rows
const owners = async () =>
  Object.fromEntries(
    (await rows('SELECT owner, count(*)::integer AS count FROM partitions GROUP BY 1')).map((r) => [r.owner, r.count]),
  )
const untilOwners = (expected: Record<string, number>) =>
  until(`the owners are ${JSON.stringify(expected)}`, async () => {
    const found = await owners()
    return Object.keys({ ...found, ...expected }).every((owner) => found[owner] === expected[owner])
  })
const epochs = async () => (await rows('SELECT epoch FROM partitions ORDER BY id')).map(({ epoch }) => epoch)
const untilLogged = (text: string) =>
  until(`the log says '${text}'`, () => pipeline.logged.some(({ msg }) => `${msg}`.includes(text)))

const untilStreamsInUse = () =>
  until(
    'the streams are in use',
    async () => (await rows('SELECT FROM partitions WHERE redis_run_id IS NULL')).length === 0,
  )

/** Waits for some heartbeats of a worker: between two of them it looks for partitions six times. */
async function heartbeats(worker: string, count: number): Promise<void> {
  let last = ''
  for (let seen = -1; seen < count; seen++) {
    last = await until(`worker ${worker} shows a sign of life`, async () => {
      const [row] = await rows('SELECT heartbeat_at::text AS at FROM workers WHERE worker_id = $1', [worker])
      return row && row.at !== last && row.at
    })
  }
}

async function consumers(): Promise<string[][]> {
  const all = []
  for (let partition = 0; partition < pipeline.partitions; partition++) {
    const key = streamKey(pipeline.prefix, partition)
    const found = (await pipeline.redis.xinfo('CONSUMERS', key, CONSUMER_GROUP).catch(() => [])) as unknown[][]
    all.push(found.map((fields) => String(fields[fields.indexOf('name') + 1])))
  }
  return all
}

/** Lets something be read from every stream, and returns the reader of each: one consumer of this worker. */
async function readers(worker: string): Promise<string[]> {
  await untilOwners({ [worker]: pipeline.partitions })
  await untilStreamsInUse()
  await pipeline.send(Array.from({ length: 200 }, (_, n) => event(`key ${n}`, 0)))
  await pipeline.drained()
  const all = await consumers()
  expect(all.map((names) => names.length)).toEqual(all.map(() => 1))
  return all.flat()
}

describe('a worker that restarts', () => {
  test('takes each of its partitions once, also while one of them is locked', async () => {
    await rows(`UPDATE partitions SET owner = 'a', epoch = 7, lease_expires_at = now() + interval '1 h'`)
    const other = await pipeline.db.connect()
    await other.query('BEGIN; SELECT FROM partitions WHERE id = 3 FOR UPDATE')
    await pipeline.startWorker('a')
    await until('it has all but the one', async () => (await epochs()).filter((epoch) => epoch > 7).length === 15)
    await heartbeats('a', 2)
    expect(await epochs()).toEqual(Array.from({ length: 16 }, (_, id) => (id === 3 ? 7 : 8)))
    await other.query('COMMIT')
    other.release()
    await until('it has that one too', async () => (await epochs())[3] === 8)
    await heartbeats('a', 2)
    expect(await epochs()).toEqual(Array.from({ length: 16 }, () => 8))
  })

  test('is a new consumer, as each of its lanes is; the consumers of the dead are removed', async () => {
    const first = await pipeline.startWorker('a')
    const before = await readers('a')
    expect(new Set(before).size).toBe(2)
    for (const name of before) expect(name).toMatch(/^a:[0-9a-f]{8}:[01]:0$/)
    await first.stop()
    await pipeline.startWorker('a')
    const after = await readers('a')
    expect(new Set(after).size).toBe(2)
    expect(after.filter((name) => before.includes(name))).toEqual([])
  })
})

describe('of two workers under one id', () => {
  test('the one started last works, the other one reports it and does nothing until it is alone', async () => {
    const first = await pipeline.startWorker('a')
    await untilOwners({ a: 16 })
    const second = await pipeline.startWorker('a')
    await until('the first one has noticed', () => first.health().rival !== undefined)
    expect(first.health().rival).toMatchObject({ pid: process.pid })
    expect(second.health().rival).toBe(undefined)
    await untilLogged('another process works under the id a')
    const before = await epochs()
    await heartbeats('a', 3)
    expect(await epochs()).toEqual(before)
    await pipeline.send([event('k', 0), event('k', 1)])
    await pipeline.drained()

    await second.stop()
    await until('the first one works again', async () => first.health().rival === undefined)
    await untilOwners({ a: 16 })
    await pipeline.send([event('k', 2)])
    await pipeline.drained()
    expect((await rows('SELECT n FROM done ORDER BY at')).map(({ n }) => n)).toEqual([0, 1, 2])
  })
})

describe('while a lane is busy', () => {
  beforeEach(async () => {
    await pipeline.startWorker('a')
    await untilOwners({ a: 16 })
    await pipeline.send([event('busy', 0, { waits: true })])
    await gate.entered
  })

  const steal = () =>
    rows(`UPDATE partitions SET owner = 'thief', epoch = epoch + 1, lease_expires_at = now() + interval '1 h'
          WHERE owner = 'a'`)

  test('with a lost partition, its worker renews all its other leases, and retakes the lost one when the lane is done with it', async () => {
    const [{ partition }] = await rows('SELECT partition FROM raw_events')
    await rows(`UPDATE partitions SET owner = NULL, epoch = epoch + 1 WHERE id = $1`, [partition])
    await untilLogged('leases were lost')
    const [{ epoch }] = await rows('SELECT epoch FROM partitions WHERE id = $1', [partition])
    await heartbeats('a', 4) // over a second, the duration of a lease
    expect(await rows('SELECT id FROM partitions WHERE lease_expires_at < now() AND id <> $1', [partition])).toEqual([])
    expect(await rows('SELECT owner, epoch FROM partitions WHERE id = $1', [partition])).toEqual([
      { owner: null, epoch },
    ])
    gate.open()
    await untilOwners({ a: 16 })
    await pipeline.drained()
    expect(await rows('SELECT key, n FROM done')).toEqual([{ key: 'busy', n: 0 }])
  })

  test('with partitions that are both released and lost, its worker still takes others afterwards', async () => {
    await pipeline.startWorker('b')
    await untilLogged('giving partitions back')
    await steal()
    await untilLogged('leases were lost')
    await rows(`UPDATE partitions SET owner = NULL WHERE owner = 'thief'`)
    gate.open()
    await untilOwners({ a: 8, b: 8 })
    await pipeline.drained()
  })
})

test('a loss of a lease that is found late does not affect the next lease, which the same worker has by then', async () => {
  const keys = Array.from({ length: 200 }, (_, n) => `key ${n}`)
  const key = keys.find((one) => partitionOf('default', one, pipeline.partitions) === 9)!
  const epochOf9 = async () => (await epochs())[9]
  await pipeline.startWorker('a')
  await untilOwners({ a: 16 })
  await untilStreamsInUse()
  const other = await pipeline.db.connect()
  await other.query('BEGIN; SELECT FROM partitions WHERE id = 5 FOR UPDATE')
  await until('its leases are about to be renewed', async () => (await sessionsWaiting(pipeline.db)).length > 0)
  // As `eventflow workers skip` does it.
  await rows('UPDATE partitions SET owner = NULL, epoch = epoch + 1 WHERE id = 9')
  const before = await epochOf9()
  await pipeline.send([event(key, 0)])
  await until('it has taken the partition again', async () => (await epochOf9()) === before + 1)
  await other.query('COMMIT')
  other.release()
  await untilLogged('leases were lost')
  await pipeline.send([event(key, 1)])
  await pipeline.drained()
  expect(await epochOf9()).toBe(before + 1)
  expect((await rows('SELECT n FROM done ORDER BY at')).map(({ n }) => n)).toEqual([0, 1])
})
