/** The statements of the settling transaction: the fence, and writing each final state once. */
import type { AcceptedEvent, Attempt, Delivery, Failed, Failure, Processed, Retry } from '@eventflow/core'
import {
  connect,
  type Db,
  endWaiting,
  findBrokenLeases,
  insertFailed,
  insertProcessed,
  type Lease,
  markDirty,
  takePartitions,
  upsertRetries,
  withTransaction,
} from '@eventflow/db'
import { acceptEvents, administer, createDatabase, newEvent, takeLeases } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

afterAll(() => db.end())

describe('the fence', () => {
  let leases: Lease[]

  beforeEach(async () => {
    await db.query('UPDATE partitions SET owner = NULL, epoch = 0')
    await db.query('UPDATE partition_marks SET dirty = 0')
    leases = await takeLeases(db, [1, 2, 3], 10_000)
  })

  const broken = () => withTransaction(db, (tx) => findBrokenLeases(tx, leases))
  const expireLeases = () => db.query(`UPDATE partitions SET lease_expires_at = now() - interval '1 ms'`)

  test('passes leases that hold, also expired ones that no worker has taken', async () => {
    expect(await broken()).toEqual([])
    await expireLeases()
    expect(await broken()).toEqual([])
  })

  test('reports the lease of a partition that another worker has taken over', async () => {
    await expireLeases()
    await takePartitions(db, 'b', [2], { reclaim: false, leaseMs: 10_000 })
    expect(await broken()).toEqual([leases[1]])
  })

  test('reports the lease of a partition for which an event was accepted past the stream', async () => {
    await markDirty(db, [1, 3])
    expect(await broken()).toEqual([leases[0], leases[2]])
  })

  test('blocks a takeover until the transaction has ended, and no mark waits for it', async () => {
    await expireLeases()
    await withTransaction(db, async (tx) => {
      expect(await findBrokenLeases(tx, leases)).toEqual([])
      expect(await takePartitions(db, 'b', [2], { reclaim: false, leaseMs: 10_000 })).toEqual([])
      await markDirty(db, [1])
    })
    expect(await broken()).toEqual([leases[0]])
    expect(await takePartitions(db, 'b', [2], { reclaim: false, leaseMs: 10_000 })).toMatchObject([
      { partition: 2, epoch: 2 },
    ])
  })
})

describe('writing', () => {
  beforeEach(async () => {
    await administer('TRUNCATE processed_events, failed_events, retries', db.options.connectionString!)
  })

  const by = { workerId: 'worker-1', processingMs: 1.5 }
  const now = new Date('2026-01-02T03:04:05Z')
  const failure: Failure = {
    component: 'validate',
    failureType: 'permanent',
    errorClass: 'RuleViolation',
    message: 'is not right',
    problems: [{ pointer: '/n', message: 'is not right' }],
  }
  const delivery = (event: AcceptedEvent, attempts = 0): Delivery => ({
    event,
    payload: JSON.stringify(event.data),
    entryIds: [],
    attempts,
    history: [],
    crashes: 0,
    inRetries: attempts > 0,
  })
  const commit = (event: AcceptedEvent, attempts = 0): Processed => ({
    kind: 'processed',
    delivery: delivery(event, attempts),
    data: { ...event.data, enriched: true },
    payload: JSON.stringify({ ...event.data, enriched: true }),
  })
  const dead = (event: AcceptedEvent, given: Partial<Failure> = {}, attempts = 0): Failed => ({
    kind: 'failed',
    delivery: delivery(event, attempts),
    failure: { ...failure, ...given },
  })
  const retry = (event: AcceptedEvent, attempts = 0): Retry => ({
    kind: 'retry',
    delivery: delivery(event, attempts),
    failure: { ...failure, failureType: 'transient' },
    delayMs: 60_000,
  })
  const accept = (count: number) =>
    acceptEvents(
      db,
      Array.from({ length: count }, (_, n) => newEvent({ payload: `{"n":${n}}` })),
    )
  /** The leases of the first owners. */
  const leasesOf = (commits: readonly Processed[]): Lease[] =>
    [...new Set(commits.map(({ delivery }) => delivery.event.partition))].map((partition) => ({
      partition,
      epoch: 0,
      dirty: 0,
    }))
  const process = (...commits: Processed[]) => insertProcessed(db, commits, leasesOf(commits), by)
  const bury = (...letters: Failed[]) => insertFailed(db, letters, { workerId: 'worker-1', now })
  const setStatus = (event: AcceptedEvent, status: string) =>
    db.query('UPDATE failed_events SET status = $2 WHERE event_id = $1', [event.id, status])
  const statusOf = async (event: AcceptedEvent) =>
    (await db.query('SELECT status FROM events WHERE event_id = $1', [event.id])).rows[0].status
  const everything = async () => ({
    processed: (await db.query('SELECT * FROM processed_events ORDER BY seq')).rows,
    failed: (await db.query('SELECT * FROM failed_events ORDER BY seq')).rows,
    retries: (await db.query('SELECT * FROM retries ORDER BY event_id')).rows,
  })

  test('processed events returns only the new ones', async () => {
    const [first, second, third] = (await accept(3)) as [AcceptedEvent, AcceptedEvent, AcceptedEvent]
    expect(await process(commit(first), commit(second))).toMatchObject({ inserted: new Set([first.seq, second.seq]) })
    expect(await process(commit(first, 2), commit(third))).toMatchObject({ inserted: new Set([third.seq]) })
    const { processed } = await everything()
    expect(processed).toMatchObject([
      { event_id: first.id, payload: { n: 0, enriched: true }, attempts: 1, worker_id: 'worker-1', processing_ms: 1.5 },
      { event_id: second.id },
      { event_id: third.id },
    ])
  })

  test.each([
    ['open', false],
    ['discarded', false],
    ['replaying', true],
  ])('an event as processed whose dead letter is %s: %s', async (status, written) => {
    const [event] = (await accept(1)) as [AcceptedEvent]
    await bury(dead(event))
    await setStatus(event, status)
    expect((await process(commit(event))).inserted).toEqual(new Set(written ? [event.seq] : []))
  })

  test('a dead letter leaves a processed event unchanged', async () => {
    const [event] = (await accept(1)) as [AcceptedEvent]
    await process(commit(event))
    await bury(dead(event))
    expect((await everything()).failed).toEqual([])
    expect(await statusOf(event)).toBe('processed')
  })

  test.each(['open', 'replayed', 'discarded'])('a dead letter leaves one that is %s unchanged', async (status) => {
    const [event] = (await accept(1)) as [AcceptedEvent]
    await bury(dead(event))
    await setStatus(event, status)
    const before = await everything()
    await bury(dead(event, { message: 'another story' }, 3))
    expect(await everything()).toEqual(before)
  })

  test('a dead letter reopens one that is being replayed, with the new history', async () => {
    const [event] = (await accept(1)) as [AcceptedEvent]
    await bury(dead(event))
    await setStatus(event, 'replaying')
    await bury(dead(event, { message: 'another story' }, 3))
    expect((await everything()).failed).toMatchObject([{ status: 'open', message: 'another story', attempts: 4 }])
    expect(await statusOf(event)).toBe('failed')
  })

  test('a dead letter holds the whole history, with any characters in the message', async () => {
    const [event] = (await accept(1)) as [AcceptedEvent]
    const attempt: Attempt = {
      attempt: 1,
      at: now.toISOString(),
      component: 'handle',
      errorClass: 'E',
      message: 'first',
    }
    const nasty = `nul \0, half \ud83d, and ${'long '.repeat(395)}😀`.padStart(2_001, '.')
    await bury({
      kind: 'failed',
      delivery: { ...delivery(event, 1), history: [attempt] },
      failure: { ...failure, message: nasty },
    })
    const [letter] = (await everything()).failed
    expect(letter).toMatchObject({
      failure_type: 'permanent',
      error_class: 'RuleViolation',
      component: 'validate',
      errors: [{ pointer: '/n', message: 'is not right' }],
      attempts: 2,
      payload: { n: 0 },
    })
    expect(letter.message).toMatch(/nul \ufffd, half \ufffd, and long/)
    expect(letter.history).toMatchObject([attempt, { attempt: 2, at: now.toISOString(), component: 'validate' }])
  })

  test('a retry only advances its attempts', async () => {
    const [event] = (await accept(1)) as [AcceptedEvent]
    await upsertRetries(db, [retry(event, 1)], now)
    expect(await statusOf(event)).toBe('retrying')
    const before = await everything()
    expect(before.retries).toMatchObject([{ attempts: 2, history: [{ attempt: 2, component: 'validate' }] }])
    await upsertRetries(db, [retry(event, 0)], now)
    expect(await everything()).toEqual(before)
    await upsertRetries(db, [retry(event, 2)], now)
    expect((await everything()).retries).toMatchObject([{ attempts: 3 }])
    await endWaiting(db, [event])
    expect((await everything()).retries).toMatchObject([{ attempts: 3 }])
    await process(commit(event, 3))
    await endWaiting(db, [event])
    expect((await everything()).retries).toEqual([])
  })

  test('the same batch twice changes nothing', async () => {
    const events = await accept(9)
    const commits = events.slice(0, 3).map((event) => commit(event, 1))
    const letters = events.slice(3, 6).map((event) => dead(event, {}, 1))
    const retries = events.slice(6).map((event) => retry(event, 1))
    await upsertRetries(
      db,
      events.map((event) => retry(event)),
      now,
    )
    const settle = () =>
      withTransaction(db, async (tx) => {
        const { inserted } = await insertProcessed(tx, commits, leasesOf(commits), by)
        await insertFailed(tx, letters, { workerId: 'worker-1', now })
        await upsertRetries(tx, retries, now)
        await endWaiting(tx, events.slice(0, 6))
        return inserted.size
      })
    expect(await settle()).toBe(3)
    const once = await everything()
    expect([once.processed.length, once.failed.length, once.retries.length]).toEqual([3, 3, 3])
    expect(await settle()).toBe(0)
    expect(await everything()).toEqual(once)
  })
})
