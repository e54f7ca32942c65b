/** Times, compared with Postgres itself: what it makes of a text is what is stored and returned. */
import { identityOf, readTime } from '@eventflow/core'
import { asMoment, connect, type Db, insertRawEvents, momentOf, timestamptzColumn } from '@eventflow/db'
import { createDatabase, findStored, newEvent } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 1, onIdleError: () => {} })
  await db.query(`SET TimeZone = 'Asia/Kolkata'`)
})

afterAll(() => db.end())

const digits = (length: number) => fc.nat(10 ** length - 1).map((n) => String(n).padStart(length, '0'))
const pad = (n: number) => String(n).padStart(2, '0')

/** Texts of which most are times: days that may not exist, seconds up to 60, fractions, offsets. */
const text = fc
  .record({
    year: fc.oneof(digits(4), fc.constantFrom('0001', '1900', '2000', '2016', '2024', '9999')),
    month: fc.integer({ min: 1, max: 12 }).map(pad),
    day: fc.integer({ min: 1, max: 31 }).map(pad),
    time: fc.oneof(
      fc.tuple(fc.nat(23), fc.nat(59), fc.nat(60)).map((parts) => parts.map(pad).join(':')),
      fc.constantFrom('23:59:60', '00:00:00', '15:59:60'),
    ),
    fraction: fc.oneof(
      fc.constant(''),
      fc
        .integer({ min: 1, max: 6 })
        .chain(digits)
        .map((n) => `.${n}`),
      digits(6).map((n) => `.${n}000`),
    ),
    zone: fc.oneof(
      fc.constantFrom('Z', 'z', '+00:00', '-00:00', '-08:00'),
      fc.tuple(fc.constantFrom('+', '-'), fc.nat(14), fc.nat(59)).map(([sign, h, m]) => `${sign}${pad(h)}:${pad(m)}`),
    ),
    between: fc.constantFrom('T', 't'),
  })
  .map(
    ({ year, month, day, time, fraction, zone, between }) =>
      // Postgres accepts no fraction of a leap second.
      `${year}-${month}-${day}${between}${time}${time.endsWith('60') ? '' : fraction}${zone}`,
  )

test('a parsed time is the one that Postgres reads, stores and returns, in any session time zone', async () => {
  let read = 0
  const property = fc.asyncProperty(fc.array(text, { minLength: 20, maxLength: 200 }), async (texts) => {
    const moments = texts.flatMap((sent) => {
      const { time } = readTime(sent)
      return time === undefined ? [] : [{ sent, time }]
    })
    read += moments.length
    const { rows } = await db.query(
      `SELECT ${asMoment('stored')} AS told, stored = sent::timestamptz AS same
       FROM unnest($1::timestamptz[], $2::text[]) AS moments(stored, sent)`,
      [timestamptzColumn(moments.map(({ time }) => time)), moments.map(({ sent }) => sent)],
    )
    expect(rows.map(({ told, same }) => [momentOf(told), same])).toEqual(moments.map(({ time }) => [time, true]))
  })
  await fc.assert(property, { numRuns: 50 })
  expect(read).toBeGreaterThan(500)
})

test.each([
  ['2016-12-31T23:59:59.123456Z', '2016-12-31T23:59:59.123456Z'],
  ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
])('an event of %s comes back with that time', async (sent, occurredAt) => {
  const event = newEvent({ occurredAt: readTime(sent).time! })
  await insertRawEvents(db, [event])
  expect((await findStored(db, [event])).get(identityOf(event))!.event).toMatchObject({ occurredAt })
})

test('an event without a time has the time of its acceptance, as in the stream', async () => {
  const event = newEvent()
  const { acceptedAt } = (await insertRawEvents(db, [event])).acceptances.get(event)!
  const stored = (await findStored(db, [event])).get(identityOf(event))!
  expect(stored.event).toMatchObject({ occurredAt: acceptedAt, acceptedAt })
})
