/** Retention removes only events settled long ago, by parts: never an unsettled one, and never twice at once. */
import { randomBytes } from 'node:crypto'
import { ADVISORY_LOCKS, type Retired, removeDeadLetters } from '@eventflow/db'
import { removeOld } from '@eventflow/engine'
import { administer } from '@eventflow/testkit'
import { describe, expect, test } from '@jest/globals'
import {
  ALL,
  base,
  db,
  firstSeq,
  LONG_AGO,
  old,
  parts,
  range,
  round,
  type Stored,
  settle,
  store,
  tables,
  url,
  useLedger,
} from './old-parts.js'

useLedger()

const never = new AbortController().signal

describe('retention removes', () => {
  test('a part when its youngest event was accepted, and all its events were processed, longer ago than the age', async () => {
    const events = range(1, 15).map((seq) => ({ seq, partition: 0, accepted: 20 - seq, processed: 20 - seq }))
    await store(events, ALL)
    expect(await round({ settledDays: 10 })).toEqual({
      letters: 0,
      told: ['1-5: emptied', '6-10: emptied', '1-5: dropped', '6-10: dropped'],
    })
    expect(await tables()).toEqual({ raw: range(11, 15), processed: range(11, 15), failed: [] })
    expect((await parts())[0]).toBe('11-15')
    expect(await firstSeq()).toBe(11)
  })

  test('nothing if both ages are 0, however old it is', async () => {
    await store(old(1, 5), ALL, 10)
    expect(await round()).toEqual({ letters: 0, told: [] })
    expect((await tables()).raw).toEqual(range(1, 5))
  })

  test('no part that still takes events, and none above the watermark of one of its partitions', async () => {
    await store(old(1, 14), { 0: 9, 1: 7, 2: 14 })
    expect((await round({ settledDays: 1 })).told).toEqual(['1-5: emptied', '1-5: dropped'])
    await store([], { 1: 10 }, 14)
    expect((await round({ settledDays: 1 })).told).toEqual(['6-10: emptied', '6-10: dropped'])
    await store([], ALL, 14)
    expect((await round({ settledDays: 1 })).told).toEqual([])
    expect((await tables()).raw).toEqual(range(11, 14))
  })

  test('the rest of a part whose removal was interrupted after one of its tables', async () => {
    await store(old(1, 10), ALL, 10)
    const { rows } = await db.query('SELECT part FROM ledger_parts WHERE until_seq = $1', [base + 5])
    await administer(
      `DELETE FROM processed_events WHERE seq < ${base + 5};
       DROP TABLE raw_events_${rows[0].part};
       UPDATE ledger_parts SET emptied_at = now(), looked_at = NULL WHERE part = ${rows[0].part};
       UPDATE ledger SET first_seq = ${base + 5}`,
      url,
    )
    expect((await round({ settledDays: 1 })).told).toEqual(['6-10: emptied', '1-5: dropped', '6-10: dropped'])
  })

  test('a part of which a partition has no event, and whose watermark is below', async () => {
    await store(
      old(1, 10).map((event) => ({ ...event, partition: 0 })),
      { 0: 10, 1: 0, 2: 0 },
    )
    expect((await round({ settledDays: 1 })).told).toHaveLength(4)
  })

  test('dead letters by their own age, counted from the last decision', async () => {
    const at = (seq: number, failed: Stored['failed']): Stored => ({
      ...{ seq, partition: 0, accepted: LONG_AGO },
      ...(failed && { failed }),
    })
    await store(
      [
        at(1, { age: LONG_AGO, status: 'open' }),
        at(2, { age: 5, status: 'open' }),
        at(3, { age: LONG_AGO, status: 'discarded', resolved: LONG_AGO }),
        at(4, { age: LONG_AGO, status: 'discarded', resolved: 5 }),
        { ...at(5, { age: LONG_AGO, status: 'replaying' }), waits: true },
        { ...at(6, { age: LONG_AGO, status: 'replayed', resolved: LONG_AGO }), processed: LONG_AGO },
        { ...at(7, { age: LONG_AGO, status: 'replayed', resolved: 5 }), processed: 5 },
      ],
      ALL,
      10,
    )
    expect(await round({ deadDays: 10 })).toEqual({ letters: 3, told: [] })
    expect(await tables()).toEqual({ raw: [2, 4, 5, 6, 7], processed: [6, 7], failed: [2, 4, 5, 7] })
    expect((await round({ settledDays: 10 })).told).toEqual(['6-10: emptied'])
    expect(await tables()).toEqual({ raw: [2, 4, 5, 7], processed: [7], failed: [2, 4, 5, 7] })
  })

  test('only parts that were archived, if it is to', async () => {
    await store(old(1, 10), ALL)
    await db.query('UPDATE ledger_parts SET archived_at = now() WHERE from_seq = $1', [base + 5])
    expect((await round({ settledDays: 1, archivedOnly: true })).told).toEqual(['6-10: emptied'])
    expect((await tables()).raw).toEqual(range(1, 5))
    const letter = { seq: 11, partition: 0, accepted: LONG_AGO, failed: { age: LONG_AGO, status: 'open' } } as const
    await store([letter], ALL)
    expect((await round({ deadDays: 1, archivedOnly: true })).letters).toBe(0)
    expect((await round({ deadDays: 1 })).letters).toBe(1)
  })
})

describe('a part with events that are kept', () => {
  const letter = (seq: number): Stored => ({
    ...{ seq, partition: 0, accepted: LONG_AGO },
    failed: { age: LONG_AGO, status: 'open' },
  })
  const lookAgain = () => db.query('UPDATE ledger_parts SET looked_at = NULL')

  test('is emptied in place and dropped when nothing is kept any more; later parts wait for it', async () => {
    await store([...old(1, 2), letter(3), ...old(4, 10)], ALL)
    expect((await round({ settledDays: 10 })).told).toEqual(['1-5: emptied', '6-10: emptied'])
    expect(await tables()).toEqual({ raw: [3], processed: [], failed: [3] })
    expect(await firstSeq()).toBeLessThanOrEqual(1)
    await lookAgain()
    expect((await round({ settledDays: 10 })).told).toEqual([])
    expect(await round({ settledDays: 10, deadDays: 10 })).toEqual({
      letters: 1,
      told: ['1-5: dropped', '6-10: dropped'],
    })
    expect(await firstSeq()).toBe(11)
  })

  test('keeps an event that is not settled, and says so', async () => {
    await store([...old(1, 2), { seq: 3, partition: 0, accepted: LONG_AGO }, ...old(4, 5)], ALL)
    const told: Retired[] = []
    const rules = { settledDays: 1, deadDays: 0, archivedOnly: false }
    await removeOld({ db, url }, rules, never, { told: (retired) => told.push(retired) })
    expect(told).toContainEqual(expect.objectContaining({ outcome: 'emptied', events: 5, kept: 1, unsettled: 1 }))
    expect((await tables()).raw).toEqual([3])
  })

  test('takes the result of a retry after it was emptied', async () => {
    await store([...old(1, 2), { seq: 3, partition: 0, accepted: LONG_AGO, waits: true }, ...old(4, 5)], ALL)
    expect((await round({ settledDays: 1 })).told).toEqual(['1-5: emptied'])
    expect((await settle(3)).inserted).toEqual(new Set([base + 2]))
    expect(await tables()).toMatchObject({ raw: [3], processed: [3] })
  })

  test('is folded with its neighbours when they are many', async () => {
    await store(
      range(1, 30).map((seq) => (seq % 5 === 2 ? { ...letter(seq), partition: seq % 3 } : old(seq, seq)[0]!)),
      ALL,
    )
    const { told } = await round({ settledDays: 10 })
    expect(told.at(-1)).toBe('1-30: folded')
    expect(told).toHaveLength(7)
    expect((await parts())[0]).toBe('1-30')
    expect(await tables()).toEqual({ raw: [2, 7, 12, 17, 22, 27], processed: [], failed: [2, 7, 12, 17, 22, 27] })
    await store([letter(31)], ALL)
    expect((await round({ settledDays: 10, deadDays: 10 })).told).toEqual(['1-30: dropped'])
  })

  test('is folded with its neighbours on one side of a part that is too large', async () => {
    for (const some of [range(1, 30), range(31, 60)]) {
      await store(
        some.map((seq) => (seq % 5 === 2 ? letter(seq) : old(seq, seq)[0]!)),
        ALL,
      )
    }
    // Postgres cannot compress it.
    const large = JSON.stringify(randomBytes(25 * 1024 * 1024).toString('base64'))
    await db.query('UPDATE raw_events SET payload = $1 WHERE seq = $2', [large, base + 26])
    expect((await round({ settledDays: 10 })).told.at(-1)).toBe('1-25: folded')
    expect((await round({ settledDays: 10 })).told).toEqual(['31-60: folded'])
    expect((await round({ settledDays: 10 })).told).toEqual([])
    expect((await parts()).slice(0, 3)).toEqual(['1-25', '26-30', '31-60'])
  })
})

describe('removing', () => {
  test('goes by chunks of dead letters, the oldest first, and stops at the first event that is too young', async () => {
    const letter = (seq: number, age: number): Stored => ({
      ...{ seq, partition: 0, accepted: age },
      failed: { age, status: 'open' },
    })
    await store([...range(1, 5).map((seq) => letter(seq, LONG_AGO)), letter(6, 0), letter(7, 0)], ALL)
    const next = (after: number) =>
      removeDeadLetters(db, 10, { after: base - 1 + after, limit: 2, archivedOnly: false })
    expect(await next(0)).toEqual({ events: 2, reached: base + 1, done: false })
    expect((await tables()).raw).toEqual([3, 4, 5, 6, 7])
    expect(await next(2)).toEqual({ events: 2, reached: base + 3, done: false })
    expect(await next(4)).toEqual({ events: 1, reached: base + 5, done: true })
  })

  test('is done by one process at a time', async () => {
    await store(old(1, 5), ALL, 10)
    const other = await db.connect()
    await other.query('BEGIN')
    await other.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.retention])
    expect(await removeDeadLetters(db, 10, { after: 0, limit: 10, archivedOnly: false })).toBeUndefined()
    expect(await round({ settledDays: 10, deadDays: 10 })).toEqual({ letters: 0, told: [] })
    await other.query('COMMIT')
    other.release()
    expect((await round({ settledDays: 10, deadDays: 10 })).told).toEqual(['1-5: emptied', '1-5: dropped'])
  })

  test('does not begin another part when it is told to stop', async () => {
    await store(old(1, 5), ALL, 10)
    expect((await round({ settledDays: 10, stopped: true })).told).toEqual([])
  })
})
