/** Inserting accepted events: order, conflicts, and no deadlocks. */
import { identityOf } from '@eventflow/core'
import { connect, type Db, insertRawEvents } from '@eventflow/db'
import { createDatabase, findStored, newEvent } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

afterAll(() => db.end())

const newEvents = (count: number) => Array.from({ length: count }, (_, n) => newEvent({ payload: `{"n":${n}}` }))

test('seq follows the order in which the events were given, not their ids', async () => {
  const events = newEvents(500)
  const { acceptances: accepted } = await insertRawEvents(db, events)
  const seqs = events.map((event) => accepted.get(event)!.seq)
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
  const { rows } = await db.query(`SELECT (payload->>'n')::integer AS n FROM raw_events ORDER BY seq`)
  expect(rows.map(({ n }) => n)).toEqual(events.map((_, n) => n))
})

test('an event whose id is taken is left out of the result, and nothing is written for it', async () => {
  const [first, second, third] = newEvents(3)
  await insertRawEvents(db, [second!])
  const { acceptances: accepted } = await insertRawEvents(db, [first!, { ...second!, payload: '"another"' }, third!])
  expect([...accepted.keys()]).toEqual([first, third])
  expect((await insertRawEvents(db, [first!, third!])).acceptances).toEqual(new Map())
  expect((await findStored(db, [second!])).get(identityOf(second!))!.event.payload).toBe(second!.payload)
})

test('an event is read back as it was written', async () => {
  const event = newEvent({
    occurredAt: '2001-01-01T00:47:00.123Z',
    causationId: 'why',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    payload: '{"b": 1,\n "a": "Zoë 🛫", "a2": 1.50}',
  })
  const { seq, acceptedAt } = (await insertRawEvents(db, [event])).acceptances.get(event)!
  const stored = (await findStored(db, [event])).get(identityOf(event))
  expect(stored).toEqual({ undelivered: true, event: { ...event, seq, acceptedAt } })
})

test('batches with the same ids in opposite orders, inserted at once, never deadlock', async () => {
  for (let round = 0; round < 30; round++) {
    const events = newEvents(400)
    const reversed = [...events].reverse()
    const answers = await Promise.all([events, reversed, events, reversed].map((batch) => insertRawEvents(db, batch)))
    expect(answers.flatMap((answer) => [...answer.acceptances.keys()].map(identityOf)).sort()).toEqual(
      events.map(identityOf).sort(),
    )
  }
})
