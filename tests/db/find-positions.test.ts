/** The positions of a time, and where the log begins. */
import { connect, type Db, findPositions, readLogBeginning } from '@eventflow/db'
import { administer, createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let db: Db
let url: string

beforeAll(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: 'test', max: 2, onIdleError: () => {} })
})

beforeEach(async () => {
  await administer('TRUNCATE processed_events, log_replaying; UPDATE log_starts SET low_position = 0', url)
  seq = 0
})

afterAll(() => db.end())

let seq = 0

/** Stores entries of a partition: pairs of a position and the second in which it was processed. */
async function store(
  partition: number,
  entries: readonly [position: number, second: number][],
  into = 'processed_events',
) {
  const more =
    into === 'processed_events'
      ? { columns: ', attempts, worker_id, processing_ms', values: `, 1, 'w', 1` }
      : { columns: '', values: '' }
  await db.query(
    `INSERT INTO ${into} (seq, partition, position, tenant_id, event_id, type, key, payload, correlation_id, accepted_at,
                          processed_at${more.columns})
     SELECT $1 + row_number() OVER (), $2, position, 'default', gen_random_uuid(), 't', 'k', '{}', 'c', now(),
            '2026-01-01T00:00:00Z'::timestamptz + second * interval '1 second'${more.values}
     FROM unnest($3::bigint[], $4::float8[]) AS e(position, second)`,
    [seq, partition, entries.map(([position]) => position), entries.map(([, second]) => second)],
  )
  seq += entries.length
}

const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1_000).toISOString()

const found = async (second: number, partitions = [1]) =>
  (await findPositions(db, at(second), partitions)).map(({ after }) => after)

describe('the position of a time', () => {
  test.each<[string, number, number]>([
    ['before the log', -5, 0],
    ['of the first entry', 0, 0],
    ['of another entry', 20, 191],
    ['between two entries', 20.5, 201],
    ['of the last entry', 99, 981],
    ['after the log', 99.5, 991],
  ])('%s', async (_, second, position) => {
    await store(
      1,
      Array.from({ length: 100 }, (_, n) => [10 * n + 1, n]),
    )
    expect(await found(second)).toEqual([position])
  })

  test('is that of each partition, also of one without entries', async () => {
    await store(1, [
      [5, 0],
      [8, 10],
    ])
    await store(2, [
      [6, 0],
      [7, 20],
    ])
    expect(await found(10, [2, 1, 3])).toEqual([6, 5, 0])
  })

  test('is not below the beginning of the log', async () => {
    await store(1, [
      [5, 0],
      [8, 10],
    ])
    await db.query('UPDATE log_starts SET low_position = 6 WHERE partition = 1')
    expect(await found(-5)).toEqual([6])
    await db.query('UPDATE log_starts SET low_position = 100')
    expect(await found(-5, [1, 2])).toEqual([100, 100])
  })

  test('is found past entries that were replayed since, and before those that are being replayed', async () => {
    const replayed = new Set([100, 101, 102, 250, 600])
    await store(
      1,
      Array.from({ length: 1_000 }, (_, n) => [n + 1, replayed.has(n) ? 5_000 : n]),
    )
    for (const second of [50, 100, 240, 251, 500, 750]) {
      expect(await found(second)).toEqual([second - (replayed.has(second - 1) ? 1 : 0)])
    }
    await administer('DELETE FROM processed_events WHERE position = 501', url)
    await store(1, [[501, 500]], 'log_replaying')
    expect(await found(500)).toEqual([500])
    expect(await found(500.5)).toEqual([501])
  })

  test('is a lower one where many in a row were replayed since, never a higher one', async () => {
    await store(
      1,
      Array.from({ length: 1_000 }, (_, n) => [n + 1, n >= 200 && n < 800 ? 5_000 : n]),
    )
    for (let second = 0; second < 1_000; second += 90) {
      const [position] = await found(second)
      expect(position).toBeLessThanOrEqual(second)
      expect(position).toBeGreaterThanOrEqual(Math.min(second, 200))
    }
  })
})

test('the log begins with its first entry, which need not be the first that was processed', async () => {
  expect(await readLogBeginning(db)).toBeUndefined()
  await store(1, [
    [5, 7],
    [8, 10],
  ])
  await store(2, [
    [6, 3],
    [7, 20],
  ])
  expect(await readLogBeginning(db)).toEqual(new Date(at(3)))
  await db.query('UPDATE log_starts SET low_position = 6')
  expect(await readLogBeginning(db)).toEqual(new Date(at(10)))
})
