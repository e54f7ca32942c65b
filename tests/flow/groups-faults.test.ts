/** Consumer groups in trouble: transactions that stay open, answers that are lost, handlers that fail, other owners. */
import { partitionOf } from '@eventflow/core'
import {
  connect,
  type Db,
  INGEST_APPLICATION,
  insertRawEvents,
  markDirty,
  readArrivals,
  readFinalSeqs,
  withTransaction,
} from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  administer,
  createDatabase,
  type Link,
  newEvent,
  openLink,
  post,
  redisUrl,
  startPipeline,
  type TestPipeline,
  until,
  whileCommitsHang,
  withPort,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { groups, TYPES, told } from './groups-in-trouble.js'

let pipeline: TestPipeline
/** Between the programs and the servers; the test itself uses `db`. */
let links: Record<'postgres' | 'redis', Link>
let db: Db
let url: string

beforeAll(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: 'onlooker', max: 4, onIdleError: () => {} })
  links = { postgres: await openLink(portOf(url)), redis: await openLink(portOf(redisUrl())) }
  const definitions = TYPES.map((type) => defineEvent({ type, schema: Type.Object({ n: Type.Integer() }) }))
  const settings = {
    DATABASE_URL: withPort(url, links.postgres.port),
    REDIS_URL: withPort(redisUrl(), links.redis.port),
  }
  pipeline = await startPipeline(definitions, settings, groups)
  await pipeline.startWorker()
})

afterAll(async () => {
  await pipeline.stop()
  await db.end()
  await Promise.all(Object.values(links).map((link) => link.stop()))
})

const portOf = (url: string) => Number(new URL(url).port)
const query = async (text: string, ...values: unknown[]) => (await db.query(text, values)).rows
const numbersIn = async (table: string) =>
  (await query(`SELECT n FROM ${table} ORDER BY at`)).map(({ n }) => n as number)
const derivedOf = (type: string) =>
  query(
    `SELECT d.seq, d.payload->'n' AS n FROM raw_events d JOIN raw_events c ON c.event_id::text = d.causation_id
     WHERE c.type = $1 AND d.type = 'derived' ORDER BY d.seq`,
    type,
  )
/** Whether a statement with this text waits for a lock. */
const waitsForALock = async (text: string) => {
  const waits = `datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%${text}%'`
  return (await query(`SELECT FROM pg_stat_activity WHERE ${waits}`)).length > 0
}
const isProcessed = async (seq: number) => (await query('SELECT FROM processed_events WHERE seq = $1', seq)).length > 0
const groupId = async (name: string) =>
  (await query('SELECT group_id FROM consumer_groups WHERE name = $1', name))[0].group_id
const partitionOfKey = (key: string) => partitionOf('default', key, pipeline.partitions)
/** A key of a partition, other than those given. */
const keyIn = (partition: number, ...except: string[]) => {
  for (let n = 0; ; n++) if (partitionOfKey(`key ${n}`) === partition && !except.includes(`key ${n}`)) return `key ${n}`
}
const send = (type: string, key: string, n: number) =>
  post(`${pipeline.url}/v1/events`, { type, partitionkey: key, data: { n } })

test('a group that sleeps in its transaction while Redis is away holds up neither requests nor another group', async () => {
  let wake = () => {}
  told.asleep = new Promise((resolve) => {
    wake = resolve
  })
  await send('note', 'a', 1)
  await until('the group is asleep', async () => {
    const asleep = `application_name = 'eventflow-groups' AND state = 'idle in transaction' AND query LIKE '%by_sleepy%'`
    return (await query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND ${asleep}`)).length > 0
  })
  links.redis.mode = { kind: 'refuse' }
  links.redis.reset()
  for (const n of [2, 3]) {
    const begun = performance.now()
    expect((await send('note', 'a', n)).status).toBe(202)
    expect(performance.now() - begun).toBeLessThan(1_000)
  }
  await until('the other group is level', async () => (await numbersIn('by_level')).length === 3)
  expect(await numbersIn('by_sleepy')).toEqual([])
  wake()
  links.redis.mode = { kind: 'pass' }
  await until('it has caught up', async () => (await numbersIn('by_sleepy')).length === 3)
  expect([await numbersIn('by_level'), await numbersIn('by_sleepy')]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ])
})

test('an event with a lower seq that is committed later is handled later', async () => {
  const partition = partitionOfKey('early')
  const ingest = connect({ url, applicationName: INGEST_APPLICATION, max: 1, onIdleError: () => {} })
  const storing = await ingest.connect()
  await storing.query('BEGIN')
  await insertRawEvents(storing, [newEvent({ key: 'early', type: 'note', partition, payload: '{ "n": 100 }' })])
  await send('note', keyIn(partition, 'early'), 101)
  await until('the later one is handled', async () => (await numbersIn('by_level')).includes(101))
  await storing.query('COMMIT')
  storing.release()
  await ingest.end()
  await markDirty(db, [partition])
  await until('both groups have handled it', async () => {
    return (await numbersIn('by_level')).includes(100) && (await numbersIn('by_sleepy')).includes(100)
  })
  for (const table of ['by_level', 'by_sleepy']) expect((await numbersIn(table)).slice(-2)).toEqual([101, 100])
  const log = await query(`SELECT payload->'n' AS n FROM processed_events WHERE type = 'note' ORDER BY seq`)
  expect(log.slice(-2)).toEqual([{ n: 100 }, { n: 101 }])
})

test('what a handler emits before it throws is emitted once when it succeeds, and never if its event dies', async () => {
  told.failures = 3
  await send('trial', 'b', 1)
  await until('it has succeeded', async () => (await numbersIn('by_trying')).length > 0)
  told.failures = 4
  await send('trial', 'b', 2)
  const letters = `SELECT attempts, payload->'n' AS n FROM group_dead_letters WHERE type = 'trial'`
  await until('it is dead', async () => (await query(letters)).length > 0)
  expect(await query(letters)).toEqual([{ attempts: 4, n: 2 }])
  expect(await derivedOf('trial')).toMatchObject([{ n: 1 }])
})

test('a group that emits what it reads ends after 16 events, with a dead letter that says so', async () => {
  await send('loop', 'c', 0)
  const letters = `SELECT payload->'n' AS n, message FROM group_dead_letters WHERE type = 'loop'`
  await until('it ends', async () => (await query(letters)).length > 0)
  const message = expect.stringContaining('would be event 17 of a chain of emitted events, and 16 are allowed: a loop?')
  expect(await query(letters)).toEqual([{ n: 16, message }])
  expect(await query(`SELECT max(hops) AS hops, count(*) FROM raw_events WHERE type = 'loop'`)).toEqual([
    { hops: 16, count: 17 },
  ])
})

test('an emitted event whose transaction is open is not passed by the watermark, and is processed afterwards', async () => {
  const partition = partitionOfKey('d')
  let emitted = 0
  await whileCommitsHang({ db, url }, 'INSERT ON by_emitting', async () => {
    await send('cause', 'd', 1)
    const since = await until('its COMMIT hangs', async () => {
      const rows = await query(`
        SELECT xact_start FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'eventflow-groups' AND query LIKE 'COMMIT%' AND state = 'active'`)
      return rows[0]?.xact_start as Date | undefined
    })
    emitted = (await readArrivals(db)).lastSeq
    await send('note', 'd', 200)
    // Without the open transaction it would be final a second later than this began.
    const acceptedAt = `'${since.toISOString()}'::timestamptz - interval '9 seconds'`
    await administer(`UPDATE raw_events SET accepted_at = ${acceptedAt} WHERE seq > ${emitted}`, url)
    await until('it would be final', async () => {
      return (await query(`SELECT FROM raw_events WHERE accepted_at < now() - interval '10 seconds'`)).length > 0
    })
    expect((await readFinalSeqs(db, [partition]))[0]).toBeLessThan(emitted)
  })
  await until('it is processed', () => isProcessed(emitted))
  expect((await readFinalSeqs(db, [partition]))[0]).toBeGreaterThan(emitted)
  expect(await derivedOf('cause')).toMatchObject([{ seq: emitted, n: 1 }])
})

test('targets are recorded with an emitted event although an earlier COMMIT has failed', async () => {
  const partition = partitionOfKey('e')
  await pipeline.send([1, 1].map((n) => ({ type: 'twin', partitionkey: 'e', data: { n } })))
  const letters = `SELECT error_class FROM group_dead_letters WHERE type = 'twin'`
  await until('one of them is dead', async () => (await query(letters)).length > 0)
  expect(await query(letters)).toEqual([{ error_class: 'SQLSTATE 23505' }])
  expect(await derivedOf('twin')).toHaveLength(1)
  const cursors = await query(
    'SELECT partition, unpublished FROM group_cursors WHERE group_id = $1 AND unpublished <> $2',
    await groupId('unique'),
    [],
  )
  expect(cursors).toEqual([{ partition, unpublished: [partition] }])
})

test('targets that a lost transaction records are not forgotten while its group begins again', async () => {
  const group = await groupId('unique')
  const targets = async (key: string) =>
    (
      await query(
        'SELECT unpublished FROM group_cursors WHERE group_id = $1 AND partition = $2',
        group,
        partitionOfKey(key),
      )
    )[0].unpublished
  const key = keyIn((partitionOfKey('e') + 1) % pipeline.partitions)
  await send('twin', key, 2)
  await until('both partitions have emitted', async () => (await targets(key)).length > 0)
  expect(await targets('e')).toEqual([partitionOfKey('e')])
  await whileCommitsHang({ db, url }, 'INSERT ON by_unique', async () => {
    await send('twin', key, 3)
    const committing = `SELECT pid FROM pg_stat_activity WHERE query LIKE 'COMMIT%' AND state = 'active' AND datname = current_database()`
    await until('its COMMIT hangs', async () => (await query(committing)).length > 0)
    links.postgres.reset()
    await until('its other partition has begun', async () => {
      return (await targets('e')).length === 0 || (await waitsForALock('SET unpublished'))
    })
  })
  // Otherwise only the sweep would find the event that it has emitted, after more than ten seconds.
  const emitted = await until('it is committed', async () => (await derivedOf('twin'))[2])
  await until('that is processed', () => isProcessed(emitted.seq), 5_000)
})

test('a batch whose parked events have changed meanwhile leaves out no event of their partitions', async () => {
  const group = await groupId('many')
  const isParked = 'SELECT FROM group_parked WHERE group_id = $1'
  const paused = (reason: string | null) =>
    query('UPDATE consumer_groups SET paused_for = $2 WHERE group_id = $1', group, reason)
  const parked = Array.from({ length: pipeline.partitions }, (_, partition) => keyIn(partition))
  await pipeline.send(parked.map((key, i) => ({ type: 'one.of.many', partitionkey: key, data: { n: -i } })))
  await until('they are parked', async () => (await query(isParked, group)).length === parked.length)
  await paused('the test says so')
  // The group reads them at once, and handles them in parts: the events of some partition are in two of these.
  const keys = parked.map((key) => keyIn(partitionOfKey(key), key))
  for (const some of [keys.slice(0, 8), keys.slice(8)]) {
    const events = some.flatMap((key) =>
      Array.from({ length: 125 }, (_, i) => ({ key, n: 1 + 125 * keys.indexOf(key) + i })),
    )
    await pipeline.send(events.map(({ key, n }) => ({ type: 'one.of.many', partitionkey: key, data: { n } })))
  }
  const all = 126 * parked.length
  await until('they are in the log, and the parked ones are due', async () => {
    const waiting = await query(`${isParked} AND due_at > now()`, group)
    return (
      waiting.length === 0 && (await query(`SELECT FROM processed_events WHERE type = 'one.of.many'`)).length === all
    )
  })
  told.isAway = false
  await withTransaction(db, async (tx) => {
    await tx.query(`${isParked} FOR UPDATE`, [group])
    await paused(null)
    await until('the batch waits for the parked events', () => waitsForALock('FOR UPDATE OF group_parked'))
    await tx.query('UPDATE group_parked SET attempts = attempts + 1 WHERE group_id = $1', [group])
  })
  await pipeline.drained()
  const numbers = await numbersIn('by_many')
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: all }, (_, i) => 1 + i - parked.length))
})
