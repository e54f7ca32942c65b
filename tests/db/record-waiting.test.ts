/** Events that wait only in a worker's memory are written to `retries` under its epoch, or not at all. */
import type { AcceptedEvent } from '@eventflow/core'
import { connect, type Db, readRetries, recordWaiting } from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db
let events: AcceptedEvent[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 2, onIdleError: () => {} })
  events = await acceptEvents(db, [newEvent({ partition: 3 }), newEvent({ partition: 3 }), newEvent({ partition: 3 })])
})

afterAll(() => db.end())

const waiting = async () =>
  (await readRetries(db, 3, { after: 0, limit: 100 })).map(({ event, attempts }) => [event.id, attempts])

test('the next owner finds them in the order of acceptance, and existing rows are unchanged', async () => {
  const [first, second, third] = events as [AcceptedEvent, AcceptedEvent, AcceptedEvent]
  const owned = { partition: 3, epoch: 0 }
  expect(await recordWaiting(db, owned, [second])).toBe(true)
  await db.query('UPDATE retries SET attempts = 2')
  expect(await recordWaiting(db, owned, [third, second, first])).toBe(true)
  const rows = [
    [first.id, 0],
    [second.id, 2],
    [third.id, 0],
  ]
  expect(await waiting()).toEqual(rows)
  await db.query('DELETE FROM retries WHERE event_id = $1', [first.id])
  await db.query('UPDATE partitions SET epoch = epoch + 1 WHERE id = 3')
  expect(await recordWaiting(db, owned, [first])).toBe(false)
  expect(await waiting()).toEqual(rows.slice(1))
})
