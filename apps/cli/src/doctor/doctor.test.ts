/** The doctor on real servers with one fault each: it finds the fault, and its fix works. */
import { randomBytes } from 'node:crypto'
import {
  connect,
  type Db,
  deleteConsumerGroup,
  heartbeat,
  INGEST_APPLICATION,
  insertProcessed,
  inspectServer,
  pauseConsumerGroup,
  readEntryKey,
  registerGroups,
  resumeConsumerGroup,
  takeGroupLeases,
  takePartitions,
  WORKER_APPLICATION,
} from '@eventflow/db'
import {
  connectRedis,
  createGroup,
  createSeal,
  FIELD,
  type Redis,
  type Seal,
  streamKey,
  untilReady,
} from '@eventflow/redis'
import {
  acceptEvents,
  adminUrlOf,
  createDatabase,
  newEvent,
  processedOf,
  startOwnRedis,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { Addresses } from '../addresses.js'
import { doctor } from './doctor.js'
import type { Finding } from './finding.js'

const ALL = Array.from({ length: 16 }, (_, id) => id)
const PREFIX = 'ef'
const shells = { psql: 'psql', redisCli: 'redis-cli' }

let server: Awaited<ReturnType<typeof startOwnRedis>>
let addresses: Addresses
let db: Db
let redis: Redis
let seal: Seal

beforeAll(async () => {
  server = await startOwnRedis()
  redis = connectRedis({ url: server.adminUrl, onError: () => {} })
  await untilReady(redis, 5_000)
})

afterAll(async () => {
  redis.disconnect()
  await db.end()
  await server.stop()
})

beforeEach(async () => {
  await db?.end()
  await redis.flushall()
  addresses = { postgres: await createDatabase(), redis: server.url, prefix: PREFIX }
  db = connect({ url: adminUrlOf(addresses.postgres), applicationName: 'test', max: 4, onIdleError: () => {} })
  seal = createSeal((await readEntryKey(db)).secret)
  await heartbeat(db, { id: 'well', host: 'here', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
  await takePartitions(db, 'well', ALL, { reclaim: false, leaseMs: 10_000 })
  for (const partition of ALL) await createGroup(redis, PREFIX, partition)
})

async function examine(at: Addresses = addresses): Promise<{ code: number; found: Finding[] }> {
  let text = ''
  const print = (line: string) => {
    text = line
  }
  const code = await doctor(at, { shells, json: true, paint: (_, plain) => plain, print })
  return { code, found: JSON.parse(text) }
}

/** Adds an event to the stream of a partition. */
function addTo(partition: number, by: Seal, event: object) {
  const key = streamKey(PREFIX, partition)
  return redis.xadd(key, '*', FIELD, by.close(key, JSON.stringify({ ...event, data: {} })))
}

const wrong = async () => (await examine()).found.filter(({ level }) => level !== 'ok')

/** The only finding, and the exit code. */
async function onlyFinding(): Promise<{ code: number; check: string; level: string; message: string; fix: string }> {
  const { code, found } = await examine()
  const [finding, ...more] = found.filter(({ level }) => level !== 'ok')
  expect(more).toEqual([])
  return { code, ...(finding as Finding & { fix: string }) }
}

/** Runs a fix for psql, in one session. */
async function runFix(fix: string, url = adminUrlOf(addresses.postgres)): Promise<void> {
  const psql = connect({ url, applicationName: 'psql', max: 1, onIdleError: () => {} })
  expect(fix).toMatch(/^psql( -c "([^"\\]|\\.)*")+/)
  for (const [, statement] of fix.matchAll(/-c "((?:[^"\\]|\\.)*)"/g))
    await psql.query(statement!.replace(/\\(.)/g, '$1'))
  await psql.end()
}

/** Runs the first command of a fix for redis-cli. */
async function runRedisFix(fix: string): Promise<void> {
  const [program, command, ...args] = fix.split(' && ')[0]!.split(' ')
  expect(program).toBe('redis-cli')
  await redis.call(command!, ...args.map((arg) => arg.replaceAll("'", '')))
}

test('a healthy pipeline has no findings and exit code 0', async () => {
  const { code, found } = await examine()
  expect(found.filter(({ level }) => level !== 'ok')).toEqual([])
  expect(code).toBe(0)
  expect(found.length).toBeGreaterThan(20)
})

describe('Redis', () => {
  test.each([
    ['maxmemory-policy', 'allkeys-lru', 'redis eviction', 'error', 1],
    ['appendonly', 'no', 'redis persistence', 'warning', 0],
  ])('with %s %s', async (setting, value, check, level, code) => {
    await redis.config('SET', setting, value)
    const finding = await onlyFinding()
    expect(finding).toMatchObject({ check, level, code })
    await runRedisFix(finding.fix)
    expect(await wrong()).toEqual([])
  })

  test('with little memory left', async () => {
    const used = Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))![1])
    await redis.config('SET', 'maxmemory', Math.round(used * 1.1))
    const finding = await onlyFinding()
    expect(finding).toMatchObject({ check: 'redis memory', level: 'warning', code: 0 })
    await runRedisFix(finding.fix)
    expect(await wrong()).toEqual([])
    await redis.config('SET', 'maxmemory', 0)
  })

  test('that is a replica', async () => {
    await redis.call('REPLICAOF', '127.0.0.1', '1')
    expect(await onlyFinding()).toMatchObject({ check: 'redis kind', level: 'error', code: 1 })
    await redis.call('REPLICAOF', 'NO', 'ONE')
    expect(await wrong()).toEqual([])
  })

  test('that is away is a finding, and Postgres is checked nevertheless', async () => {
    const { code, found } = await examine({ ...addresses, redis: 'redis://:canary@127.0.0.1:1' })
    expect(code).toBe(2)
    expect(found.filter(({ level }) => level !== 'ok')).toMatchObject([
      { check: 'redis', level: 'error', message: expect.stringContaining('Redis at 127.0.0.1:1: ') },
    ])
    expect(found).toContainEqual(expect.objectContaining({ check: 'indexes', level: 'ok' }))
    expect(JSON.stringify(found)).not.toContain('canary')
  })
})

describe('Postgres', () => {
  test('with synchronous_commit off for the database', async () => {
    const name = new URL(addresses.postgres).pathname.slice(1)
    await db.query(`ALTER DATABASE "${name}" SET synchronous_commit = off`)
    const finding = await onlyFinding()
    expect(finding).toMatchObject({ check: 'postgres durability', level: 'error', code: 1 })
    await runFix(finding.fix)
    expect(await wrong()).toEqual([])
  })

  test('without an index, and with one whose creation was interrupted', async () => {
    await db.query('DROP INDEX retries_partition_due')
    await db.query(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'raw_events_correlation'::regclass`)
    const broken = (await wrong()) as (Finding & { fix: string })[]
    expect(broken.map(({ check, message }) => `${check}: ${message.split(' ')[0]}`)).toEqual([
      'indexes: raw_events_correlation',
      'indexes: retries_partition_due',
    ])
    for (const { fix } of broken) await runFix(fix, addresses.postgres)
    expect(await wrong()).toEqual([])
  })

  test('the suggested statement for each index creates the same index as the migration', async () => {
    const definitions = async () => {
      const { rows } = await db.query(
        `SELECT indexname, indexdef FROM pg_indexes
         WHERE tablename IN ('raw_events', 'processed_events', 'event_ids', 'failed_events', 'retries') ORDER BY 1`,
      )
      return rows
    }
    const before = await definitions()
    for (const { indexname } of before) {
      const { rows } = await db.query('SELECT conrelid::regclass AS name FROM pg_constraint WHERE conname = $1', [
        indexname,
      ])
      await db.query(rows[0] ? `ALTER TABLE ${rows[0].name} DROP CONSTRAINT ${indexname}` : `DROP INDEX ${indexname}`)
    }
    for (const finding of await wrong()) await runFix((finding as { fix: string }).fix, addresses.postgres)
    expect(await definitions()).toEqual(before)
  })

  test('that is not migrated', async () => {
    addresses = { ...addresses, postgres: await createDatabase({ migrated: false }) }
    const finding = await onlyFinding()
    expect(finding).toMatchObject({ check: 'migrations', level: 'error', code: 1 })
    expect(finding.message).toContain('0001-pipeline')
  })

  test('with a transaction that was left open', async () => {
    const client = await db.connect()
    let ended = false
    client.on('error', () => {
      ended = true
    })
    await client.query(`BEGIN; SET LOCAL application_name = 'left behind'`)
    const { oldTransactions } = await inspectServer(db, 0)
    expect(oldTransactions).toMatchObject([{ who: expect.stringMatching(/^left behind \(process \d+, idle/) }])
    await db.query(oldTransactions[0]!.end)
    await until('it is ended', () => ended)
    client.release(true)
  })

  test('if the programs log in as a superuser', async () => {
    const { found } = await examine({ ...addresses, postgres: adminUrlOf(addresses.postgres) })
    expect(found.filter(({ level }) => level !== 'ok')).toMatchObject([
      { check: 'postgres roles', level: 'error', message: expect.stringContaining('eventflow_admin is a superuser') },
    ])
  })

  test('if workers log in with a role that cannot see the transactions of ingest', async () => {
    const role = `blind_${randomBytes(4).toString('hex')}`
    await db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`)
    const url = new URL(addresses.postgres)
    url.username = role
    url.password = 'x'
    const ingest = connect({
      url: addresses.postgres,
      applicationName: INGEST_APPLICATION,
      max: 1,
      onIdleError: () => {},
    })
    const worker = connect({ url: url.href, applicationName: WORKER_APPLICATION, max: 1, onIdleError: () => {} })
    try {
      await Promise.all([ingest.query('SELECT 1'), worker.query('SELECT 1')])
      const finding = await onlyFinding()
      expect(finding).toMatchObject({ check: 'postgres roles', level: 'error', message: expect.stringContaining(role) })
      await runFix(finding.fix)
      expect(await wrong()).toEqual([])
    } finally {
      await Promise.all([ingest.end(), worker.end()])
      await db.query(`DROP ROLE ${role}`)
    }
  })
})

describe('the pipeline', () => {
  test('without a worker, and with rows of workers that died long ago', async () => {
    await db.query(`UPDATE workers SET heartbeat_at = now() - interval '1 min'`)
    expect(await onlyFinding()).toMatchObject({ check: 'workers', level: 'error', code: 1 })
    seal = createSeal((await readEntryKey(db)).secret)
    await heartbeat(db, { id: 'well', host: 'here', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
    await db.query(`INSERT INTO workers VALUES ('old', 'there', 2, now(), now() - interval '3 d')`)
    const finding = await onlyFinding()
    expect(finding).toMatchObject({
      check: 'workers',
      level: 'warning',
      code: 0,
      message: 'dead for long: old (3 d 0 h)',
    })
    await runFix(finding.fix)
    expect(await wrong()).toEqual([])
  })

  test('with two workers under one id', async () => {
    const other = { id: 'well', host: 'there', pid: 2, run: 'run 2', leaseMs: 10_000 }
    expect(await heartbeat(db, other, { takeOver: false })).toEqual({ host: 'here', pid: 1 })
    const finding = await onlyFinding()
    expect(finding).toMatchObject({ check: 'workers', level: 'warning', code: 0 })
    expect(finding.message).toBe('two workers have the id well: process 1 on here works, process 2 on there is idle')
    await db.query('UPDATE workers SET rival_at = NULL')
    expect(await wrong()).toEqual([])
  })

  test('with a partition without an owner', async () => {
    await db.query(`UPDATE partitions SET lease_expires_at = now() - interval '1 s' WHERE id = 3`)
    expect(await onlyFinding()).toMatchObject({ check: 'partitions', level: 'warning', code: 0 })
    await takePartitions(db, 'well', [3], { reclaim: false, leaseMs: 10_000 })
    expect(await wrong()).toEqual([])
  })

  test('with a consumer group that no worker reads, is paused, or is behind', async () => {
    const asked = { tenantId: 'default', name: 'invoicing', by: 'ada' }
    const definition = { name: 'invoicing', version: 1, types: [], from: 'latest' } as const
    const groupId = (await registerGroups(db, [definition])).get('invoicing')!
    const take = (partitions: readonly number[]) =>
      takeGroupLeases(
        db,
        'well',
        partitions.map((partition) => ({ groupId, partition })),
        60_000,
      )
    expect(await onlyFinding()).toMatchObject({
      ...{ check: 'groups', level: 'warning', code: 0 },
      message: expect.stringContaining('no worker reads the group invoicing: none has its definition'),
      fix: expect.stringContaining('npx eventflow groups delete invoicing'),
    })
    await take(ALL.slice(2))
    expect((await onlyFinding()).message).toContain('the group invoicing in the partitions 0, 1')
    await take([0, 1])
    expect(await wrong()).toEqual([])

    await pauseConsumerGroup(db, { ...asked, reason: 'moving\nhouse' })
    expect(await onlyFinding()).toMatchObject({
      ...{ check: 'groups', level: 'warning', message: 'the group invoicing is paused by ada: moving house' },
      fix: expect.stringContaining('npx eventflow groups resume invoicing'),
    })
    await resumeConsumerGroup(db, { ...asked, skipLost: false })

    const [event] = await acceptEvents(db, [newEvent({ partition: 3 })])
    const lease = { partition: 3, epoch: 1, dirty: 0 as const }
    await insertProcessed(db, [processedOf(event!)], [lease], { workerId: 'well', processingMs: 1 })
    expect(await wrong()).toEqual([])
    await db.query(`UPDATE processed_events SET processed_at = now() - interval '90 s'`)
    expect(await onlyFinding()).toMatchObject({
      ...{ check: 'groups', level: 'warning', fix: expect.stringContaining('--groups invoicing') },
      message: expect.stringMatching(/^the group invoicing is 1 min 3\d s behind, by 1 event$/),
    })
    await db.query('UPDATE group_leases SET owner = NULL')
    await deleteConsumerGroup(db, asked)
    expect(await wrong()).toEqual([])
  })

  test('with a group that was destroyed, or set beyond the end of its stream', async () => {
    const key = streamKey(PREFIX, 5)
    const id = (await redis.xadd(key, '*', FIELD, seal.close(key, 'no event')))!
    await redis.xgroup('DESTROY', key, 'eventflow')
    expect(await onlyFinding()).toMatchObject({
      ...{ check: 'streams', level: 'error', code: 1 },
      message: expect.stringContaining(`${key} has 1 entries but no group`),
    })
    await redis.xgroup('CREATE', key, 'eventflow', `${Number(id.split('-')[0]) + 1_000}-0`)
    const finding = await onlyFinding()
    expect(finding).toMatchObject({ check: 'streams', level: 'error', message: expect.stringContaining('beyond') })
    await runRedisFix(finding.fix)
    expect(await wrong()).toEqual([])
  })

  test('with the events of another database under its prefix', async () => {
    const [own] = await acceptEvents(db, [newEvent()])
    await addTo(1, seal, own!)
    expect(await wrong()).toEqual([])
    await addTo(2, createSeal(randomBytes(32)), own!)
    expect(await onlyFinding()).toMatchObject({
      ...{ check: 'streams', level: 'error' },
      message: expect.stringContaining(`${streamKey(PREFIX, 2)} holds events of another database`),
    })
    await redis.del(streamKey(PREFIX, 2))
    expect(await wrong()).toEqual([])
  })

  test('with events in a stream that a restore of Postgres has lost', async () => {
    const key = streamKey(PREFIX, 4)
    const [kept, lost] = await acceptEvents(db, [newEvent({ partition: 4 }), newEvent({ partition: 4 })])
    for (const event of [kept, lost]) await addTo(4, seal, event!)
    await redis.xgroup('CREATE', key, 'eventflow', '0').catch(() => {})
    expect(await wrong()).toEqual([])
    for (const table of ['raw_events', 'event_ids'])
      await db.query(`DELETE FROM ${table} WHERE event_id = $1`, [lost!.id])
    const finding = await onlyFinding()
    expect(finding).toMatchObject({
      ...{ check: 'streams', level: 'error' },
      message: expect.stringContaining(`${key} holds events of another database: Postgres was restored`),
    })
    expect(finding.fix).toContain('npx eventflow doctor --restored')
    const before = await readEntryKey(db)
    await doctor(addresses, { shells, restored: true, json: true, paint: (_, text) => text, print: () => {} })
    expect((await readEntryKey(db)).incarnation).toBe(before.incarnation + 1)
    // As a worker would: none of them opens any more.
    await redis.del(key)
    await heartbeat(db, { id: 'well', host: 'here', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
    await takePartitions(db, 'well', [...Array(16).keys()], { reclaim: false, leaseMs: 10_000 })
    expect(await wrong()).toEqual([])
  })
})
