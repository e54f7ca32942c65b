/** Leases: who owns a partition, and who takes it over. */
import {
  connect,
  type Db,
  heartbeat,
  markDirty,
  markWhole,
  readOwnership,
  readPartition,
  readWorkers,
  releasePartitions,
  removeWorker,
  renewLeases,
  saveProgress,
  takePartitions,
} from '@eventflow/db'
import { createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

beforeEach(async () => {
  await db.query('UPDATE partitions SET owner = NULL, epoch = 0, crashes = 0, settled_seq = 0')
  await db.query('UPDATE partition_marks SET dirty = 0')
})

afterAll(() => db.end())

const ALL = Array.from({ length: 16 }, (_, id) => id)
const take = (worker: string, partitions: readonly number[], reclaim = false) =>
  takePartitions(db, worker, partitions, { reclaim, leaseMs: 10_000 })
const idsOf = (taken: readonly { partition: number }[]) => taken.map(({ partition }) => partition)
const epochsOf = (taken: readonly { epoch: number }[]) => taken.map(({ epoch }) => epoch)
const expire = (...partitions: number[]) =>
  db.query(`UPDATE partitions SET lease_expires_at = now() - interval '1 ms' WHERE id = ANY($1::smallint[])`, [
    partitions,
  ])
const ownerOf = async (id: number) =>
  (await db.query('SELECT owner, epoch FROM partitions WHERE id = $1', [id])).rows[0]

describe('a lease', () => {
  test('has one owner until it expires, and each owner has a higher epoch', async () => {
    expect(epochsOf(await take('a', [3, 5]))).toEqual([1, 1])
    expect(await take('b', [3, 5])).toEqual([])
    expect(await take('a', [3, 5])).toEqual([])
    await expire(5)
    expect(await take('b', [3, 5])).toMatchObject([{ partition: 5, epoch: 2 }])
    await expire(5)
    expect(await take('a', [5])).toMatchObject([{ partition: 5, epoch: 3 }])
  })

  test('lasts for its duration from the taking, and again from each renewal', async () => {
    const leftMs = async () =>
      (await db.query(`SELECT extract(epoch FROM lease_expires_at - now()) * 1000 AS ms FROM partitions WHERE id = 3`))
        .rows[0].ms
    const [lease] = await take('a', [3])
    expect(Math.abs((await leftMs()) - 10_000)).toBeLessThan(1_000)
    await expire(3)
    expect(await renewLeases(db, 'a', [lease!], 10_000)).toEqual(new Set([3]))
    expect(Math.abs((await leftMs()) - 10_000)).toBeLessThan(1_000)
    expect(await take('b', [3])).toEqual([])
  })

  test('that another worker has taken over cannot be renewed or released by the old owner', async () => {
    const old = await take('a', [3, 5])
    await expire(5)
    await take('b', [5])
    expect(await renewLeases(db, 'a', old, 10_000)).toEqual(new Set([3]))
    await releasePartitions(db, old)
    expect(await ownerOf(3)).toEqual({ owner: null, epoch: 1 })
    expect(await ownerOf(5)).toEqual({ owner: 'b', epoch: 2 })
  })

  test('of an earlier life of the same worker cannot be renewed either', async () => {
    const old = await take('a', [3])
    expect(await take('a', [3], true)).toMatchObject([{ partition: 3, epoch: 2 }])
    expect(await renewLeases(db, 'a', old, 10_000)).toEqual(new Set())
  })

  test('that was released is free at once', async () => {
    await releasePartitions(db, await take('a', [3]))
    expect(await take('b', [3])).toMatchObject([{ partition: 3, epoch: 2 }])
  })

  test('is reclaimed by its own worker at once, and by no other', async () => {
    await take('a', [3])
    expect(await take('b', [3], true)).toEqual([])
    expect(await take('a', [3], true)).toMatchObject([{ partition: 3, epoch: 2 }])
  })
})

test('owners that did not release a partition are counted, until one makes progress', async () => {
  const crashesOf = (taken: readonly { crashes: number }[]) => taken.map(({ crashes }) => crashes)
  expect(crashesOf(await take('a', [3]))).toEqual([0])
  await expire(3)
  expect(crashesOf(await take('b', [3]))).toEqual([1])
  const third = await take('b', [3], true)
  expect(crashesOf(third)).toEqual([2])
  await saveProgress(db, [{ ...third[0]!, settledSeq: 0 }])
  const fourth = await take('b', [3], true)
  expect(crashesOf(fourth)).toEqual([1])
  await releasePartitions(db, fourth)
  expect(crashesOf(await take('a', [3]))).toEqual([1])
})

test('a partition can be taken after any number of crashes', async () => {
  await db.query(`UPDATE partitions SET owner = 'a', lease_expires_at = now(), crashes = 32767 WHERE id = 3`)
  expect(await take('b', [3])).toMatchObject([{ partition: 3 }])
})

test('the watermark never goes back, and only the owner advances it', async () => {
  const [old] = await take('a', [3])
  await saveProgress(db, [{ ...old!, settledSeq: 70 }])
  await saveProgress(db, [{ ...old!, settledSeq: 60 }])
  const [lease] = await take('a', [3], true)
  await saveProgress(db, [{ ...old!, settledSeq: 80 }])
  await saveProgress(db, [{ ...lease!, settledSeq: 60 }])
  expect(await readPartition(db, lease!)).toMatchObject({ settledSeq: 70 })
  expect(await readPartition(db, old!)).toBe(undefined)
})

test('a stream counts as complete again only if nothing was accepted past it since, and only for its owner', async () => {
  const [lease] = await take('a', [3])
  await markDirty(db, [3])
  await markDirty(db, [3])
  expect(await readPartition(db, lease!)).toMatchObject({ dirty: 2 })
  expect(await markWhole(db, lease!, { dirty: 1, feedIdentity: 'r' })).toBe(false)
  expect(await markWhole(db, { ...lease!, epoch: lease!.epoch - 1 }, { dirty: 2, feedIdentity: 'r' })).toBe(false)
  expect(await readPartition(db, lease!)).toMatchObject({ dirty: 2 })
  expect(await markWhole(db, lease!, { dirty: 2, feedIdentity: 'r' })).toBe(true)
  expect(await readPartition(db, lease!)).toMatchObject({ dirty: 0, feedIdentity: 'r' })
})

test('of workers that take the same partitions at once, each partition goes to one of them', async () => {
  let before = ALL.map(() => 0)
  for (let round = 0; round < 20; round++) {
    const taken = (await Promise.all(['a', 'b', 'c', 'd'].map((worker) => take(worker, ALL)))).flat()
    expect(new Set(idsOf(taken)).size).toBe(taken.length)
    const after = (await db.query('SELECT epoch FROM partitions ORDER BY id')).rows.map(({ epoch }) => epoch)
    expect(after).toEqual(before.map((epoch, id) => epoch + (idsOf(taken).includes(id) ? 1 : 0)))
    expect(taken.length).toBeGreaterThan(0)
    before = after
    await expire(...ALL)
  }
})

test('a restarted worker counts as a new one; a killed one is remembered for a day', async () => {
  await db.query('DELETE FROM workers')
  for (const id of ['a', 'b'])
    await heartbeat(db, { id, host: 'here', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
  await db.query(`UPDATE workers SET started_at = now() - interval '3 d', heartbeat_at = now() - interval '23 h'`)
  await take('b', [3, 5])
  await heartbeat(db, { id: 'a', host: 'here', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
  const [a, b] = await readWorkers(db)
  expect(a).toMatchObject({ id: 'a', host: 'here', pid: 1, alive: true, partitions: [] })
  expect(Date.now() - a!.startedAt.getTime()).toBeGreaterThan(2 * 86_400_000)
  expect(b).toMatchObject({ id: 'b', alive: false, partitions: [3, 5] })
  expect(Math.round(b!.silentSeconds / 3_600)).toBe(23)

  await heartbeat(db, { id: 'a', host: 'here', pid: 2, run: 'run 2', leaseMs: 10_000 }, { takeOver: true })
  expect(Date.now() - (await readWorkers(db))[0]!.startedAt.getTime()).toBeLessThan(60_000)
  await db.query(`UPDATE workers SET heartbeat_at = now() - interval '25 h'`)
  await heartbeat(db, { id: 'a', host: 'here', pid: 2, run: 'run 2', leaseMs: 10_000 }, { takeOver: true })
  expect((await readWorkers(db)).map(({ id }) => id)).toEqual(['a'])
})

test('the id of a worker belongs to the process that took it last, until that is silent for the duration of a lease', async () => {
  await db.query('DELETE FROM workers')
  const [first, second] = [1, 2].map((pid) => ({ id: 'a', host: 'here', pid, run: `run ${pid}`, leaseMs: 10_000 }))
  expect(await heartbeat(db, first!, { takeOver: true })).toBe(undefined)
  expect(await heartbeat(db, second!, { takeOver: true })).toBe(undefined)
  expect(await heartbeat(db, first!, { takeOver: false })).toEqual({ host: 'here', pid: 2 })
  expect(await readWorkers(db)).toMatchObject([{ id: 'a', pid: 2, rival: { host: 'here', pid: 1 } }])
  await removeWorker(db, first!)
  expect(await readWorkers(db)).toHaveLength(1)
  await db.query(`UPDATE workers SET heartbeat_at = now() - interval '11 s'`)
  expect(await heartbeat(db, first!, { takeOver: false })).toBe(undefined)
  expect(await readWorkers(db)).toMatchObject([{ id: 'a', pid: 1 }])
})

test('live workers and free partitions follow from the heartbeats and the leases', async () => {
  for (const id of ['b', 'a', 'gone'])
    await heartbeat(db, { id, host: 'here', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
  await db.query(`UPDATE workers SET heartbeat_at = now() - interval '11 s' WHERE worker_id = 'gone'`)
  await take('a', [0, 1])
  await take('gone', [2])
  await expire(1, 2)
  const { workers, partitions } = await readOwnership(db)
  expect(workers).toEqual(['a', 'b'])
  expect(partitions.slice(0, 4)).toMatchObject([
    { id: 0, owner: 'a', free: false },
    { id: 1, owner: 'a', free: true },
    { id: 2, owner: 'gone', free: true },
    { id: 3, owner: null, free: true },
  ])
  await removeWorker(db, { id: 'b', run: 'run 1' })
  expect((await readOwnership(db)).workers).toEqual(['a'])
})
