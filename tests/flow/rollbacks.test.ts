/**
 * Redis returns to an earlier state, at different points of a lane's turn. Possibly no command notices: the groups
 * exist, and the last entries do not. A later event of a key must not overtake the lost ones.
 */
import { partitionOf } from '@eventflow/core'
import { connectRedis, createGroup, type Redis, untilReady } from '@eventflow/redis'
import {
  acceptEvents,
  type Link,
  newEvent,
  openLink,
  type Server,
  startOwnRedis,
  startPipeline,
  type TestPipeline,
  until,
  withPort,
} from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

let servers: Server[]
let direct: Redis[]
let link: Link
let pipeline: TestPipeline
/** The server in use. */
let current = 0

beforeAll(async () => {
  const first = await startOwnRedis()
  servers = [first, await startOwnRedis({ like: first })]
  direct = servers.map(({ adminUrl }) => connectRedis({ url: adminUrl, onError: () => {} }))
  await Promise.all(direct.map((redis) => untilReady(redis, 5_000)))
  link = await openLink(servers[0]!.port)
})

beforeEach(async () => {
  pipeline = await startPipeline([step], {
    REDIS_URL: withPort(servers[0]!.url, link.port),
    EVENTFLOW_LANES: '1',
    EVENTFLOW_LEASE_SECONDS: '30',
  })
})

afterEach(async () => {
  link.mode = { kind: 'pass' }
  await pipeline.stop()
})

afterAll(async () => {
  for (const redis of direct) redis.disconnect()
  await link.stop()
  await Promise.all(servers.map((server) => server.stop()))
})

/** In the first partition, which a lane reads first. */
const KEY = Array.from({ length: 1_000 }, (_, n) => `key ${n}`).find((key) => partitionOf('default', key, 16) === 0)!
const send = (...numbers: number[]) =>
  pipeline.send(numbers.map((n) => ({ type: 'fault.step', data: { key: KEY, n } })))
const sendIn = (mood: string, n: number) => pipeline.send([{ type: 'fault.step', data: { key: KEY, n, mood } }])
const rows = async (text: string, values: unknown[] = []) => (await pipeline.db.query(text, values)).rows
const effects = async () => (await rows('SELECT n FROM effects ORDER BY at')).map(({ n }) => n)
const runIds = async () => (await rows('SELECT redis_run_id FROM partitions')).map((row) => row.redis_run_id)
const streamsInUse = () => until('the streams are in use', async () => (await runIds()).every((id) => id !== null))

/** Stored and not sent to Redis: as if it had been sent, and Redis had lost it. */
const acceptUnsent = (n: number) =>
  acceptEvents(pipeline.db, [
    newEvent({ type: 'fault.step', key: KEY, partition: 0, payload: JSON.stringify({ key: KEY, n }) }),
  ])

/** The other server, with the streams and their groups and nothing in them, replaces the one in use. */
async function rollBack({ connections = 2 } = {}): Promise<void> {
  current = 1 - current
  const other = direct[current]!
  await other.flushall()
  for (let partition = 0; partition < 16; partition++) await createGroup(other, pipeline.prefix, partition)
  link.target = servers[current]!.port
  link.reset()
  await until('all are connected again', async () => {
    const clients =
      String(await other.client('LIST'))
        .trim()
        .split('\n').length - 1 // this one
    return clients >= connections && pipeline.redis.status === 'ready'
  })
}

/** Runs `meanwhile` when a statement like this waits for a lock on the table, and releases the lock. */
async function whileWaiting(
  lock: string,
  statement: string,
  before: () => Promise<unknown>,
  meanwhile: (query: (text: string) => Promise<unknown>) => Promise<unknown>,
): Promise<void> {
  const client = await pipeline.db.connect()
  try {
    await client.query(`BEGIN; LOCK ${lock} MODE`)
    await before()
    await until(`'${statement}' waits`, async () => {
      const waiting = await rows(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1`,
        [`%${statement}%`],
      )
      return waiting.length > 0
    })
    await meanwhile((text) => client.query(text))
    await client.query('COMMIT')
  } finally {
    client.release(true)
  }
}

const nothing = async () => {}

test('while no worker is running', async () => {
  const worker = await pipeline.startWorker()
  await streamsInUse()
  await send(0)
  await pipeline.drained()
  await worker.stop()
  await send(1)
  await rollBack({ connections: 1 })
  await send(2)
  await pipeline.startWorker()
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

async function isSettlingSlowly(): Promise<boolean> {
  const found = await rows(`SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%' AND state = 'active'`)
  return found.length > 1 // one is this one
}

test('while a batch is processed', async () => {
  await pipeline.startWorker()
  await streamsInUse()
  await sendIn('slow to settle', 0)
  await until('it is being settled', isSettlingSlowly)
  await send(1)
  await rollBack()
  await send(2)
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

test('and forward again, while a batch is processed: entries sent to the other one meanwhile are gone', async () => {
  await pipeline.startWorker()
  await streamsInUse()
  await sendIn('slow to settle', 0)
  await until('it is being settled', isSettlingSlowly)
  await rollBack()
  await send(1)
  await rollBack()
  await send(2)
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

test('between the check of the connections and the read of a turn', async () => {
  await pipeline.startWorker()
  await streamsInUse()
  await send(0)
  await pipeline.drained()
  await whileWaiting('retries IN ACCESS EXCLUSIVE', 'FROM retries w', nothing, async () => {
    await send(1)
    await rollBack()
    await send(2)
  })
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

test('when a stream is about to be complete again', async () => {
  await pipeline.startWorker()
  await streamsInUse()
  await send(0)
  await pipeline.drained()
  link.mode = { kind: 'refuse' }
  link.reset()
  await until('Redis is away', () => pipeline.redis.status !== 'ready')
  await send(1)
  await until('it is done', async () => (await effects()).length === 2)
  const back = async () => {
    link.mode = { kind: 'pass' }
  }
  await whileWaiting('partitions IN SHARE ROW EXCLUSIVE', 'redis_run_id = $', back, async () => {
    await send(2)
    await rollBack()
    await send(3)
  })
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2, 3])
})

test('for one of the two connections of a worker only', async () => {
  await pipeline.startWorker()
  await streamsInUse()
  await send(0)
  await pipeline.drained()
  current = 1 - current
  const other = direct[current]!
  await other.flushall()
  for (let partition = 0; partition < 16; partition++) await createGroup(other, pipeline.prefix, partition)
  link.target = servers[current]!.port
  pipeline.redis.disconnect(true)
  await until('the connection for commands is back', () => pipeline.redis.status === 'ready')
  await send(1)
  await pipeline.drained()
  await streamsInUse()
  await send(2)
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

test('to nothing, when its worker dies just after it has recreated the stream', async () => {
  await pipeline.startWorker('a')
  await streamsInUse()
  await send(0)
  await pipeline.drained()
  await whileWaiting(
    'processed_events IN ACCESS EXCLUSIVE',
    'SELECT range.number',
    async () => {
      await acceptUnsent(1)
      await direct[current]!.flushall()
      await send(2)
    },
    async () => {
      // As if it had died: another worker owns its partitions, which finds the group and the same Redis.
      await rows(`UPDATE partitions SET owner = 'b', epoch = epoch + 1, lease_expires_at = now() + interval '1 h'`)
    },
  )
  await pipeline.startWorker('b')
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

test('to nothing, when its worker loses the lease just before it would recreate the stream', async () => {
  const former = await pipeline.startWorker('a')
  await streamsInUse()
  await send(0)
  await pipeline.drained()
  await whileWaiting(
    'partitions IN SHARE ROW EXCLUSIVE',
    'redis_run_id = NULL',
    async () => {
      await acceptUnsent(1)
      await direct[current]!.flushall()
      await send(2)
    },
    async (query) => {
      await query(`UPDATE partitions SET owner = 'b', epoch = epoch + 1, lease_expires_at = now() + interval '1 h'`)
    },
  )
  await until('it has given the first partition up', async () => {
    await former.refreshGauges()
    return (await former.metrics.catchingUp.get()).values.every(({ labels }) => labels.partition !== '0')
  })
  await pipeline.startWorker('b')
  await pipeline.drained()
  expect(await effects()).toEqual([0, 1, 2])
})

test.each([
  ['at once', 0],
  ['also by a worker that reads from Postgres for another reason', 1],
])(
  'another process of Redis is noted %s, because the previous one may return without the lost entries',
  async (_, dirty) => {
    const first = await pipeline.startWorker()
    await streamsInUse()
    await first.stop()
    await pipeline.db.query(`UPDATE partitions SET redis_run_id = 'of another process'`)
    await pipeline.db.query('UPDATE partition_marks SET dirty = $1', [dirty])
    await whileWaiting(
      'partition_marks IN SHARE',
      'cleared AS (UPDATE partition_marks',
      () => pipeline.startWorker(),
      () => until('it is noted', async () => (await runIds()).every((id) => id === null)),
    )
    await streamsInUse()
  },
)
