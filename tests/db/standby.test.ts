/** Reads on a standby: when they use it, when they run on the primary instead, and what they see. */
import {
  asTenant,
  connect,
  createReads,
  type Db,
  type FallbackReason,
  listEvents,
  type Standby,
  type StandbyOptions,
  shareOut,
  watchStandby,
} from '@eventflow/db'
import {
  acceptEvents,
  createDatabase,
  type Link,
  newEvent,
  openLink,
  type ReplicatedPostgres,
  startReplicatedPostgres,
  until,
} from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

const LIMITS = { atOnce: 2, atOnceEach: 1, waitingEach: 1 }

/** For tests in which the standby is to be used however slow this machine is. */
const HOWEVER_LATE_MS = 600_000

let postgres: ReplicatedPostgres
let link: Link
let primary: Db
let standby: Db
let watched: Standby | undefined
const reasons: (string | undefined)[] = []
const fallbacks: FallbackReason[] = []

const open = (url: string) => connect({ url, applicationName: 'test', max: 4, onIdleError: () => {} })

/** Through the link. */
const linked = () => Object.assign(new URL(postgres.standbyUrl), { port: `${link.port}` }).href

async function watch(options: Partial<StandbyOptions> = {}): Promise<Standby> {
  watched = await watchStandby({
    ...{ primary, standby },
    onChange: (reason) => reasons.push(reason),
    onFallback: (reason) => fallbacks.push(reason),
    ...options,
  })
  return watched
}

async function watchWhenUsed(options: Partial<StandbyOptions> = {}): Promise<Standby> {
  const found = await watch(options)
  await until('the standby is used', () => found.isUsed())
  return found
}

const inRecovery = async (db: Db) => (await db.query('SELECT pg_is_in_recovery() AS yes')).rows[0].yes as boolean

const isRunning = (text: string) =>
  until(`the standby runs ${text}`, async () => {
    const { rowCount } = await postgres.standby.query(
      `SELECT FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep' AND query LIKE '%' || $1 || '%'
       AND pid <> pg_backend_pid()`,
      [text],
    )
    return rowCount === 1
  })

beforeAll(async () => {
  postgres = await startReplicatedPostgres()
  link = await openLink(Number(new URL(postgres.standbyUrl).port))
}, 60_000)

beforeEach(() => {
  primary = open(postgres.primaryUrl)
  standby = open(linked())
  reasons.length = 0
  fallbacks.length = 0
})

afterEach(async () => {
  watched?.stop()
  watched = undefined
  link.mode = { kind: 'pass' }
  await Promise.all([primary.end(), standby.end()])
})

afterAll(async () => {
  await link?.stop()
  await postgres?.stop()
})

const read = (on: Standby) => on.read({ primary, standby }, inRecovery)

test('a read runs on the standby, and sees what that has replayed', async () => {
  await acceptEvents(primary, [newEvent()])
  await postgres.caughtUp()
  const used = await watchWhenUsed({ maxLagMs: HOWEVER_LATE_MS })
  expect(await read(used)).toBe(true)
  const reads = createReads({ primary, dbOf: shareOut(primary, LIMITS), standby: used }, LIMITS)
  const list = () => listEvents(primary, { tenantId: 'default' }, { before: undefined, limit: 100 })
  const listLate = () =>
    reads.of('default')((db) => listEvents(db, { tenantId: 'default' }, { before: undefined, limit: 100 }))
  const before = (await list()).rows.length
  await postgres.pause()
  await acceptEvents(primary, [newEvent()])
  expect((await list()).rows).toHaveLength(before + 1)
  expect((await listLate()).rows).toHaveLength(before)
  await postgres.resume()
  await postgres.caughtUp()
  expect((await listLate()).rows).toHaveLength(before + 1)
  expect(fallbacks).toEqual([])
})

test('beyond two seconds of lag reads run on the primary, until it is below again', async () => {
  const used = await watchWhenUsed()
  await postgres.pause()
  await acceptEvents(primary, [newEvent()])
  await until('the lag is noticed', () => !used.isUsed())
  expect(used.lagSeconds()).toBeGreaterThan(2)
  expect(await read(used)).toBe(false)
  expect(fallbacks).toEqual(['unusable'])
  await until('the change was told', () => reasons.at(-1) !== undefined)
  expect(reasons.at(-1)).toMatch(/^it is 2\.\d s behind, or has not answered for that time$/)
  await postgres.resume()
  await until('it is used again', () => used.isUsed())
  expect(used.lagSeconds()).toBeLessThan(2)
  expect(await read(used)).toBe(true)
})

test('an idle primary is no lag', async () => {
  const used = await watchWhenUsed({ maxLagMs: HOWEVER_LATE_MS })
  const positionOf = async () => (await postgres.primary.query('SELECT pg_current_wal_lsn() AS lsn')).rows[0].lsn
  const before = await positionOf()
  const lag = used.lagSeconds()
  await until('it was measured again without any write', () => used.lagSeconds() < lag)
  await until('and again', async () => used.lagSeconds() < 1.5 && (await positionOf()) === before)
})

test('a read that is under way when the standby falls behind is not waited for', async () => {
  const used = await watchWhenUsed()
  const text = `SELECT pg_is_in_recovery() AS yes, CASE WHEN pg_is_in_recovery() THEN pg_sleep(4.5) END /* given up */`
  const reading = used.read({ primary, standby }, async (db) => (await db.query(text)).rows[0].yes)
  await isRunning('given up')
  await postgres.pause()
  await acceptEvents(primary, [newEvent()])
  expect(await reading).toBe(false)
  expect(fallbacks).toEqual(['unusable'])
  await postgres.resume()
})

test.each([
  { kind: 'refuse' as const, expected: /./ },
  { kind: 'swallow' as const, expected: /has not answered|terminated|timeout/ },
])(
  'while connections are lost ($kind) every read succeeds, and the standby is used again later',
  async ({ kind, expected }) => {
    const used = await watchWhenUsed()
    link.mode = { kind }
    if (kind === 'refuse') link.reset()
    const servers = await Promise.all(Array.from({ length: 4 }, () => read(used)))
    expect(servers).toEqual([false, false, false, false])
    await until('the change was told', () => reasons.at(-1) !== undefined)
    expect(reasons.at(-1)).toMatch(expected)
    link.mode = { kind: 'pass' }
    link.reset()
    await until('it is used again', () => used.isUsed())
    expect(await read(used)).toBe(true)
  },
  30_000,
)

test('a read that replay cancels is repeated on the primary', async () => {
  await primary.query('CREATE TABLE in_the_way AS SELECT 1 AS x')
  await postgres.caughtUp()
  const used = await watchWhenUsed({ maxLagMs: HOWEVER_LATE_MS })
  const text = `
    SELECT x, pg_is_in_recovery() AS yes, CASE WHEN pg_is_in_recovery() THEN pg_sleep(4.5) END FROM in_the_way`
  const reading = used.read({ primary, standby }, async (db) => (await db.query(text)).rows[0].yes)
  await isRunning('FROM in_the_way')
  await primary.query('ALTER TABLE in_the_way ADD COLUMN y integer')
  expect(await reading).toBe(false)
  expect(fallbacks).toEqual(['conflict'])
})

test('an error of the statement is not repeated', async () => {
  const used = await watchWhenUsed({ maxLagMs: HOWEVER_LATE_MS })
  let runs = 0
  const failing = (text: string) =>
    used.read({ primary, standby }, (db) => {
      runs++
      return db.query(text)
    })
  await expect(failing('SELECT 1 / 0')).rejects.toThrow('division by zero')
  await expect(failing('SELECT FROM missing')).rejects.toThrow('does not exist')
  expect(runs).toBe(2)
  await failing('CREATE TABLE written_by_mistake ()')
  expect([runs, fallbacks]).toEqual([4, ['error']])
})

test('a tenant sees its own rows only, and takes no more than its share of the connections', async () => {
  await acceptEvents(primary, [newEvent({ tenantId: 'ours' }), newEvent({ tenantId: 'theirs' })])
  await postgres.caughtUp()
  const used = await watchWhenUsed({ maxLagMs: HOWEVER_LATE_MS })
  const reads = createReads({ primary, dbOf: shareOut(primary, LIMITS), standby: used }, LIMITS)
  const tenants = async (db: Db) =>
    asTenant(db, 'ours', async (tx) => {
      const { rows } = await tx.query('SELECT DISTINCT tenant_id, pg_is_in_recovery() AS yes FROM raw_events')
      return rows
    })
  expect(await reads.of('ours')(tenants)).toEqual([{ tenant_id: 'ours', yes: true }])

  const slow = (db: Db) => db.query('SELECT pg_sleep(0.5) /* share */')
  const running = reads.of('ours')(slow)
  await isRunning('share')
  const waiting = reads.of('ours')(slow)
  await expect(reads.of('ours')(slow)).rejects.toThrow(expect.objectContaining({ name: 'TooManyWaitingError' }))
  expect(await reads.of('theirs')(inRecovery)).toBe(true)
  expect(await reads.own(inRecovery)).toBe(true)
  await Promise.all([running, waiting])
  expect(fallbacks).toEqual([])
})

describe('at the start', () => {
  test('a database of another installation is refused', async () => {
    const other = open(await createDatabase())
    await expect(watch({ standby: other })).rejects.toThrow(
      'DATABASE_REPLICA_URL: its database is not that of DATABASE_URL, but of another installation',
    )
    await other.end()
  })

  test('the primary itself is not used, with a reason: it may be a standby that has taken over', async () => {
    const used = await watch({ standby: primary })
    expect(used.isUsed()).toBe(false)
    expect(reasons).toEqual(['it is no standby: it is not in recovery, so it is a primary'])
  })

  test('one that does not answer is used once it does', async () => {
    link.mode = { kind: 'refuse' }
    const used = await watch()
    expect(used.isUsed()).toBe(false)
    expect(reasons).toEqual([expect.stringMatching(/./)])
    expect(await read(used)).toBe(false)
    link.mode = { kind: 'pass' }
    await until('it is used', () => used.isUsed())
    expect(reasons.at(-1)).toBe(undefined)
  })
})

// The last test: the standby follows no longer after it.
test('a promoted standby is not used any more', async () => {
  const used = await watchWhenUsed({ maxLagMs: HOWEVER_LATE_MS })
  await postgres.promote()
  await until('it is noticed', () => !used.isUsed())
  expect(await used.read({ primary, standby }, async (db) => db === primary)).toBe(true)
  await until('the change was told', () => reasons.at(-1) !== undefined)
  expect(reasons.at(-1)).toBe('it is no standby: it is not in recovery, so it is a primary')
})
