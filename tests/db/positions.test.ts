/** The positions of the log: they rise in the order of the commits. */
import { type Delivery, firstDelivery, type Processed } from '@eventflow/core'
import { connect, type Db, insertProcessed, type Lease, withTransaction } from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent, sessionsWaiting, takeLeases, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db
let leases: Lease[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 8, onIdleError: () => {} })
  leases = await takeLeases(db, [1, 2])
})

afterAll(() => db.end())

async function accepted(count: number, partition = 1): Promise<Processed[]> {
  const events = await acceptEvents(
    db,
    Array.from({ length: count }, () => newEvent({ partition })),
  )
  return events.map((event): Processed => {
    const delivery: Delivery = firstDelivery(event, '{}', [])
    return { kind: 'processed', delivery, data: {}, payload: '{}' }
  })
}

const settle = (on: Parameters<typeof insertProcessed>[0], commits: readonly Processed[]) =>
  insertProcessed(on, commits, leases, { workerId: 'a', processingMs: 1 })

async function positions(partition: number): Promise<number[]> {
  const { rows } = await db.query('SELECT position FROM processed_events WHERE partition = $1 ORDER BY position', [
    partition,
  ])
  return rows.map(({ position }) => position)
}

test('within a batch positions follow the order of acceptance, in each partition separately', async () => {
  const [ones, twos] = [await accepted(3, 1), await accepted(2, 2)]
  await settle(db, [twos[1]!, ones[2]!, ones[0]!, twos[0]!, ones[1]!])
  const seqsBy = async (column: string) => {
    const { rows } = await db.query(`SELECT partition, seq FROM processed_events ORDER BY partition, ${column}`)
    return rows.map(({ partition, seq }) => [partition, seq])
  }
  expect(await seqsBy('seq')).toHaveLength(5)
  expect(await seqsBy('position')).toEqual(await seqsBy('seq'))
})

test('an event that is settled again keeps its row and its position', async () => {
  const commits = await accepted(2)
  await settle(db, commits)
  const before = await positions(1)
  await settle(db, commits)
  expect(await positions(1)).toEqual(before)
})

test('the second of two transactions of one epoch waits for the first, whichever commits', async () => {
  const [first, second] = [await accepted(2), await accepted(2)]
  let later: Promise<unknown> = Promise.resolve()
  await withTransaction(db, async (tx) => {
    await settle(tx, first)
    later = settle(db, second)
    await until('the second one waits', async () => (await sessionsWaiting(db)).length === 1)
  })
  await later
  const of = async (commits: readonly Processed[]) => {
    const seqs = commits.map(({ delivery }) => delivery.event.seq)
    const { rows } = await db.query('SELECT position FROM processed_events WHERE seq = ANY($1)', [seqs])
    return rows.map(({ position }) => position)
  }
  expect(Math.max(...(await of(first)))).toBeLessThan(Math.min(...(await of(second))))
})

test('a reader that sees a position never sees a lower one appear later', async () => {
  const batches = await Promise.all(Array.from({ length: 60 }, () => accepted(3)))
  const seen = new Set<number>()
  let [highest, working] = [0, true]
  const read = async () => {
    while (working) {
      const now = await positions(1)
      expect(now.filter((position) => position <= highest && !seen.has(position))).toEqual([])
      for (const position of now) seen.add(position)
      highest = Math.max(highest, ...now)
    }
  }
  const reading = read()
  const queue = [...batches]
  const write = async () => {
    for (let batch = queue.pop(); batch; batch = queue.pop()) await settle(db, batch)
  }
  await Promise.all([write(), write(), write(), write()])
  working = false
  await reading
  const all = await positions(1)
  expect(new Set(all).size).toBe(all.length)
})
