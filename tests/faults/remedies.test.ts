/** Each remedy in action: how the pipeline handles each fault, on real processes. */
import { partitionOf } from '@eventflow/core'
import { insertRawEvents } from '@eventflow/db'
import { streamKey, untilReady } from '@eventflow/redis'
import {
  type BuildCopy,
  checkHistory,
  createClients,
  createDatabase,
  createRandom,
  describeVerdict,
  type Journal,
  newEvent,
  openJournal,
  PARTITIONS,
  type Patch,
  type Stack,
  startStack,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyOfBuild, places } from './places.js'

/** Sweeps for unpublished events without the usual delay. */
const SOON: readonly Patch[] = [
  {
    file: 'db/ledger/unsettled.js',
    find: 'FINAL_AFTER_MS = 2 * STATEMENT_TIMEOUT_MS',
    replace: 'FINAL_AFTER_MS = 1_000',
  },
  { file: 'engine/lane/upkeep.js', find: 'SWEEP_MS = 5_000', replace: 'SWEEP_MS = 1_000' },
]

let build: BuildCopy
let stack: Stack
let journal: Journal
let clients: ReturnType<typeof createClients>

beforeAll(async () => {
  build = await copyOfBuild('remedies', SOON)
  const settings = { EVENTFLOW_MAX_STREAM_LENGTH: '3', EVENTFLOW_LEASE_SECONDS: '3' }
  stack = await startStack({
    ...places,
    ...build,
    ingests: 1,
    workers: 2,
    databaseUrl: await createDatabase(),
    settings,
  })
  journal = openJournal(`${stack.dir}/journal.ndjson`)
  clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
}, 60_000)

afterAll(async () => {
  await stack.stop()
  await build.remove()
})

const rowsOf = async (text: string, ...values: unknown[]) => (await stack.db.query(text, values)).rows
const settled = () => until('everything is settled', async () => (await unsettled()) === 0, 60_000)

async function unsettled(): Promise<number> {
  const [counts] = await rowsOf(`
    SELECT (SELECT count(*) FROM raw_events) - (SELECT count(*) FROM processed_events)
         - (SELECT count(*) FROM failed_events WHERE status = 'open') AS unsettled`)
  return counts.unsettled
}

/** Sends a backlog of `count` events of forty keys while no worker is running. */
async function makeBacklog(name: string, count: number): Promise<void> {
  await Promise.all(stack.workers.map((worker) => worker.stop()))
  for (let n = 0; n < count; n += 500) {
    await clients.send(Array.from({ length: 500 }, (_, i) => ({ key: `${name} ${i % 40}` })))
  }
}

async function startWorkers(): Promise<void> {
  for (const worker of stack.workers) worker.start()
  await Promise.all(stack.workers.map((worker) => worker.ready()))
}

/** The number of entries ever added to the streams of this Redis. */
async function entriesAdded(): Promise<number> {
  let added = 0
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const info = (await stack.directRedis.xinfo('STREAM', streamKey(stack.prefix, partition))) as unknown[]
    added += Number(info[info.indexOf('entries-added') + 1])
  }
  return added
}

test('a stream holds no more than its limit, and the excess is processed from Postgres', async () => {
  await makeBacklog('over the limit', 5_000)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const length = await stack.directRedis.xlen(streamKey(stack.prefix, partition))
    expect(length).toBeLessThanOrEqual(100 + 500) // it may exceed the limit by one request
  }
  await startWorkers()
  await settled()
}, 60_000)

test('a backlog survives FLUSHALL', async () => {
  await makeBacklog('flushed', 5_000)
  await stack.directRedis.flushall()
  await startWorkers()
  await settled()
}, 60_000)

test('while Redis is down everything is accepted and processed, and afterwards the streams are in use again', async () => {
  const before = { ...clients.counts }
  await stack.redis.crash(0, async () => {
    for (let round = 0; round < 5; round++) {
      for (let n = 0; n < 20; n++) await clients.send([{ key: `away ${n}` }])
      await settled()
    }
  })
  expect(clients.counts.notAccepted).toBe(before.notAccepted)
  await settled()
  await until(
    'the streams are whole again',
    async () => (await rowsOf('SELECT FROM partition_marks WHERE dirty > 0')).length === 0,
  )
  await untilReady(stack.directRedis, 10_000)
  const added = await entriesAdded()
  await until('what is accepted is in a stream', async () => {
    await clients.send([{ key: 'after' }])
    return (await entriesAdded()) > added
  })
}, 60_000)

test('an event committed but never published is still processed', async () => {
  const key = 'never published'
  const [id] = await clients.send([{ key }])
  await settled()
  // As if the service had died between the COMMIT and the XADD.
  const [row] = await rowsOf('SELECT type, source, partition, payload::text FROM raw_events WHERE event_id = $1', id)
  const event = newEvent({ key, ...row })
  await insertRawEvents(stack.db, [event])
  const copy = event.id
  const now = performance.now()
  journal.write({
    op: -1,
    from: now,
    until: now,
    result: 'ok',
    events: [{ id: copy, key, n: 1, mayDie: false, refusedByGroup: false }],
  })
  await until(
    'it is settled',
    async () => (await rowsOf('SELECT FROM effects WHERE event_id = $1', copy)).length === 1,
    25_000,
  )
}, 40_000)

test('an event that kills its worker ends as a dead letter, and its neighbours are processed', async () => {
  const neighbours = (n: number) => Array.from({ length: 10 }, (_, i) => ({ key: `neighbour ${n} ${i}` }))
  const ids = await clients.send([...neighbours(1), { key: 'deadly', mood: 'deadly' }, ...neighbours(2)])
  await settled()
  const dead = await rowsOf('SELECT event_id, error_class FROM failed_events WHERE event_id = ANY($1)', ids)
  expect(dead).toEqual([{ event_id: ids[10], error_class: 'Poison' }])
  for (const worker of stack.workers) worker.surprises.length = 0
}, 120_000)

test('while Postgres is down nothing is accepted and nothing fails; afterwards processing continues', async () => {
  const links = [...stack.links].filter(([name]) => name.endsWith('postgres')).map(([, link]) => link)
  await clients.send([{ key: 'before' }])
  for (const link of links) {
    link.mode = { kind: 'refuse' }
    link.reset()
  }
  const answer = await fetch(`${stack.urls[0]}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'fault.step', data: { key: 'refused', n: 1 } }),
  })
  expect(answer.status).toBe(503)
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  const sent = clients.send([{ key: 'meanwhile' }])
  for (const link of links) link.mode = { kind: 'pass' }
  await sent
  await settled()
}, 60_000)

test('while a source is down its events wait, the others continue, and no attempt is charged', async () => {
  await rowsOf('INSERT INTO source_away DEFAULT VALUES')
  const waiting = await clients.send(
    Array.from({ length: 20 }, (_, n) => ({ key: `waits ${n}`, mood: 'needs the source' })),
  )
  const others = await clients.send(Array.from({ length: 20 }, (_, n) => ({ key: `goes on ${n}` })))
  const processed = (ids: readonly string[]) =>
    rowsOf('SELECT attempts FROM processed_events WHERE event_id = ANY($1)', ids)
  await until('the others are processed', async () => (await processed(others)).length === 20)
  expect(await processed(waiting)).toEqual([])
  await rowsOf('DELETE FROM source_away')
  await settled()
  expect(await processed(waiting)).toEqual(Array.from({ length: 20 }, () => ({ attempts: 1 })))
}, 60_000)

test('a partition passes to the next owner in less than a second on a clean stop', async () => {
  const [first, second] = stack.workers
  const key = 'handed over'
  const partition = partitionOf('default', key, PARTITIONS)
  const ownedBy = async (name: string) =>
    (await rowsOf('SELECT FROM partitions WHERE owner = $1', name)).length === PARTITIONS
  await first!.stop()
  const stopped = performance.now()
  await until('the second worker has everything', () => ownedBy(second!.name))
  await clients.send([{ key }])
  await until('it works on it', async () => (await rowsOf('SELECT FROM effects WHERE key = $1', key)).length === 1)
  expect({ partition, tookMs: performance.now() - stopped }).toEqual({ partition, tookMs: expect.any(Number) })
  expect(performance.now() - stopped).toBeLessThan(1_500) // a second, plus a margin for a busy machine
  first!.start()
}, 30_000)

test('when a worker is killed, another one settles events of each of its partitions soon after the lease has expired', async () => {
  const [first, second] = stack.workers
  const orphans: number[] = await until('both have their share', async () => {
    const rows = await rowsOf('SELECT id FROM partitions WHERE owner = $1', first!.name)
    return rows.length === PARTITIONS / 2 && rows.map(({ id }) => id)
  })
  const partitionOfKey = (key: string) => partitionOf('default', key, PARTITIONS)
  const keys = Array.from({ length: 400 }, (_, n) => `orphan ${n}`).filter((key) =>
    orphans.includes(partitionOfKey(key)),
  )
  expect(new Set(keys.map(partitionOfKey)).size).toBe(orphans.length)
  await first!.end('SIGKILL')
  const killedAt = performance.now()
  const ids = await clients.send(keys.map((key) => ({ key })))
  const bySecond = 'SELECT FROM processed_events WHERE event_id = ANY($1) AND worker_id = $2'
  await until('they are settled', async () => (await rowsOf(bySecond, ids, second!.name)).length === ids.length, 20_000)
  expect(performance.now() - killedAt).toBeLessThan(8_000) // 3 s of lease, plus the usual five
  first!.start()
}, 45_000)

test('and none of this has lost, duplicated or reordered an event', async () => {
  await journal.close()
  await stack.drained()
  const verdict = await checkHistory(`${stack.dir}/journal.ndjson`, stack.db, stack.directRedis, stack.prefix)
  if (verdict.violations.length > 0) throw new Error(describeVerdict(verdict))
  expect(stack.workers.flatMap(({ surprises }) => surprises)).toEqual([])
}, 60_000)
