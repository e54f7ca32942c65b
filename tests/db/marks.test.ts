/** The marks of the log: written behind the fence, and read with the entries between which they are. */
import { firstDelivery, type Processed } from '@eventflow/core'
import {
  connect,
  type Db,
  findBrokenLeases,
  type HoldChange,
  insertProcessed,
  type Lease,
  type LogMark,
  type LogPlace,
  type MarkPage,
  readHoldsAt,
  readLastDrawn,
  readLog,
  readMarks,
  readOpenHolds,
  removeMarks,
  type Transaction,
  withTransaction,
  writeHolds,
} from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent, takeLeases } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

let db: Db
let leases: Lease[]
/** Where the log ends before a test. */
let end: number

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 8, onIdleError: () => {} })
  leases = await takeLeases(db, [1, 2])
})

beforeEach(async () => {
  end = await readLastDrawn(db)
})

afterAll(() => db.end())

const all = { limit: 100, bytes: 1_000_000 }
const hold = (tenantId: string, at: bigint | undefined, partition = 1): HoldChange => ({ partition, tenantId, at })

async function settle(tx: Db | Transaction, partition = 1): Promise<void> {
  const accepted = await acceptEvents(db, [newEvent({ partition })])
  const commits = accepted.map((event): Processed => {
    return { kind: 'processed', delivery: firstDelivery(event, '{}', []), data: {}, payload: '{}' }
  })
  await insertProcessed(tx, commits, leases, { workerId: 'a', processingMs: 1 })
}

/** Writes as a settle does. */
const fenced = (work: (tx: Transaction) => Promise<void>) =>
  withTransaction(db, async (tx) => {
    await findBrokenLeases(tx, leases)
    await work(tx)
  })

const marked = (...changes: HoldChange[]) => fenced((tx) => writeHolds(tx, changes))

/** What `readLog` and `readMarks` show after a place: events as 'event', marks as their kind and time. */
async function read({ partition = 1, after = end, limit = 100 } = {}): Promise<[string[], MarkPage]> {
  const place: LogPlace = { partition, after }
  const [page] = await readLog(db, [place], { ...all, limit })
  const [marks] = await readMarks(db, [{ ...place, ...page! }])
  return [inOrder(page!, marks!), marks!]
}

const textOf = ({ kind, at }: LogMark) => (at === undefined ? kind : `${kind} ${at}`)

function inOrder(page: Awaited<ReturnType<typeof readLog>>[number], { marks, reached }: MarkPage): string[] {
  const entries = page.entries.map(({ position }) => ({ position, text: 'event' }))
  const texts = marks.map((mark) => ({ position: mark.position, text: textOf(mark) }))
  const together = [...entries, ...texts].sort((a, b) => a.position - b.position)
  return together.filter(({ position }) => position <= reached).map(({ text }) => text)
}

test('marks are read where they are among the entries, also behind the last', async () => {
  await marked(hold('x', 4n))
  await settle(db)
  await fenced(async (tx) => {
    await settle(tx)
    await writeHolds(tx, [hold('x', undefined)])
  })
  const [texts, { reached, more, marks }] = await read()
  expect(texts).toEqual(['hold 4', 'event', 'event', 'release'])
  expect(marks[0]).toEqual({
    partition: 1,
    position: marks[0]!.position,
    tenantId: 'x',
    kind: 'hold',
    at: 4n,
    seenSince: undefined,
  })
  expect({ reached, more }).toEqual({ reached: marks[1]!.position, more: false })
  expect(await read({ after: reached })).toEqual([[], { marks: [], reached, more: false }])
  expect(await read({ partition: 2 })).toMatchObject([[], { marks: [], reached: end }])
})

test('only marks up to the last entry belong to a page behind which there is more', async () => {
  await settle(db)
  await marked(hold('x', 4n))
  await settle(db)
  const [texts, { reached, more }] = await read({ limit: 1 })
  expect([texts, more]).toEqual([['event'], true])
  expect((await read({ after: reached }))[0]).toEqual(['hold 4', 'event'])
  await marked(hold('x', undefined))
})

test('a mark behind an entry that is newer than the page waits for that entry', async () => {
  await settle(db)
  const [page] = await readLog(db, [{ partition: 1, after: end }], all)
  await marked(hold('x', 3n))
  await settle(db)
  await marked(hold('x', undefined))
  const [marks] = await readMarks(db, [{ partition: 1, after: end, ...page! }])
  expect(inOrder(page!, marks!)).toEqual(['event', 'hold 3'])
  expect((await read({ after: marks!.reached }))[0]).toEqual(['event', 'release'])
})

test('that entry may be of an event that is being processed again', async () => {
  const [page] = await readLog(db, [{ partition: 1, after: end }], all)
  await settle(db)
  await marked(hold('x', 3n), hold('x', undefined, 2))
  await db.query(
    `WITH moved AS (DELETE FROM processed_events WHERE partition = 1 AND position > $1 RETURNING *)
     INSERT INTO log_replaying SELECT seq, partition, position, tenant_id, event_id, type, key, payload, correlation_id,
       accepted_at, occurred_at, processed_at FROM moved`,
    [end],
  )
  expect(await readMarks(db, [{ partition: 1, after: end, ...page! }])).toMatchObject([{ marks: [], reached: end }])
  expect((await read())[0]).toEqual(['event', 'hold 3'])
  await marked(hold('x', undefined))
})

test('with too many marks, the page ends at the last of them', async () => {
  await settle(db)
  await db.query(`
    INSERT INTO log_marks (partition, position, tenant_id, kind, at)
    SELECT 1, nextval('log_position'), 'y', 'tick', n FROM generate_series(1, 1500) n`)
  await settle(db)
  const [texts, { reached, more }] = await read()
  expect([texts.length, texts.at(-1), more]).toEqual([1_001, 'tick 1000', true])
  const [rest] = await read({ after: reached })
  expect([rest.length, rest.at(-2), rest.at(-1)]).toEqual([501, 'tick 1500', 'event'])
})

test('a reader misses no mark while settles commit, and sees each before the entries that follow it', async () => {
  const rounds = 40
  let writing = true
  const writer = async (tenantId: string) => {
    for (let n = 1; n <= rounds; n++)
      await fenced(async (tx) => {
        await writeHolds(tx, [hold(tenantId, BigInt(n))])
        await settle(tx)
        await settle(tx)
      })
  }
  const writers = Promise.all([writer('a'), writer('b')]).finally(() => {
    writing = false
  })
  const texts: string[] = []
  for (let after = end, last = false; !last; ) {
    last = !writing
    const [found, { reached }] = await read({ after, limit: 7 })
    texts.push(...found)
    last &&= found.length === 0
    after = reached
  }
  await writers
  expect(texts.filter((text) => text !== 'event')).toHaveLength(2 * rounds)
  expect(texts.filter((_, i) => i % 3 === 0).every((text) => text.startsWith('hold'))).toBe(true)
  expect(texts).toHaveLength(6 * rounds)
  await marked(hold('a', undefined), hold('b', undefined))
})

test('only changes are written, and the open holds are known', async () => {
  await marked(hold('x', 5n), hold('y', 7n, 2), hold('z', undefined))
  await marked(hold('x', 5n), hold('y', 6n, 2))
  expect((await read())[0]).toEqual(['hold 5'])
  expect((await read({ partition: 2 }))[0]).toEqual(['hold 7', 'hold 6'])
  expect(await readOpenHolds(db, [1, 2])).toEqual(
    new Map([
      [1, new Map([['x', 5n]])],
      [2, new Map([['y', 6n]])],
    ]),
  )
  await marked(hold('x', undefined), hold('y', undefined, 2))
  expect(await readOpenHolds(db, [2])).toEqual(new Map([[2, new Map()]]))
})

test('the hold in force at a position is the last one up to it that was not released', async () => {
  await marked(hold('x', 5n))
  await marked(hold('y', 9n), hold('z', 1n, 2))
  await marked(hold('x', 3n))
  await marked(hold('x', undefined))
  const positions = (await read())[1].marks.map(({ position }) => position)
  const at = async (position: number) => [...(await readHoldsAt(db, 1, ['x', 'y', 'z'], position))]
  expect(await at(end)).toEqual([])
  expect(await at(positions[0]!)).toEqual([['x', 5n]])
  expect(await at(positions[2]!)).toEqual([
    ['x', 3n],
    ['y', 9n],
  ])
  expect(await at(positions[3]!)).toEqual([['y', 9n]])
})

test('marks before the beginning of the log are removed, the oldest first, but for the holds in force there', async () => {
  for (const table of ['log_marks', 'log_holds']) await db.query(`DELETE FROM ${table}`)
  await marked(hold('x', 5n))
  await marked(hold('x', 4n), hold('y', 9n), hold('z', 1n, 2))
  await marked(hold('y', undefined))
  await db.query(
    "INSERT INTO log_marks (partition, position, tenant_id, kind, at) VALUES (1, nextval('log_position'), 'x', 'tick', 8)",
  )
  const low = await readLastDrawn(db)
  await marked(hold('x', 3n), hold('y', 2n))
  await db.query('UPDATE log_starts SET low_position = $1 WHERE partition = 1', [low])
  const left = async () =>
    (await db.query('SELECT tenant_id, kind, at FROM log_marks ORDER BY position')).rows.map((row) =>
      Object.values(row).join(' '),
    )
  expect(await removeMarks(db, 2)).toBe(2)
  expect((await left())[0]).toBe('x hold 4')
  expect(await removeMarks(db, 2)).toBe(2)
  expect(await removeMarks(db, 2)).toBe(0)
  expect((await left()).toSorted()).toEqual(['x hold 3', 'x hold 4', 'y hold 2', 'z hold 1'])
  expect([...(await readHoldsAt(db, 1, ['x', 'y'], low))]).toEqual([['x', 4n]])
})
