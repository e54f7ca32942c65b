/** Keys blocked by an event that awaits a retry, and the number of blocked events. */
import type { AcceptedEvent } from '@eventflow/core'
import { connect, type Db, readWaitingKeys, recordWaiting } from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db
let events: AcceptedEvent[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 2, onIdleError: () => {} })
  events = await acceptEvents(
    db,
    ['a', 'a', 'a', 'a', 'b', 'a'].map((key) => newEvent({ key, partition: 3 })),
  )
})

afterAll(() => db.end())

const options = { unordered: [], limit: 10, countBehind: true }
const keys = async () =>
  (await readWaitingKeys(db, 'default', options)).map(({ id, key, behind }) => ({ id, key, behind }))

test('the unsettled later events of the key are blocked, with or without rows in retries', async () => {
  const [head, inRetries, processed, discarded] = events as [AcceptedEvent, AcceptedEvent, AcceptedEvent, AcceptedEvent]
  expect(await keys()).toEqual([])
  await recordWaiting(db, { partition: 3, epoch: 0 }, [head, inRetries])
  expect(await keys()).toEqual([{ id: head.id, key: 'a', behind: 4 }])
  await db.query(
    `INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                   correlation_id, accepted_at, processing_ms)
     SELECT tenant_id, event_id, seq, type, key, partition, payload, 1, 'w', correlation_id, accepted_at, 1
     FROM raw_events WHERE event_id = $1`,
    [processed.id],
  )
  const bury = (status: string) =>
    db.query(
      `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class,
                                  message, errors, component, worker_id, attempts, history, correlation_id, accepted_at, status)
       SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent', 'E', 'm', '[]', 'handle', 'w', 1, '[]',
              correlation_id, accepted_at, $2
       FROM raw_events WHERE event_id = $1
       ON CONFLICT (tenant_id, event_id) DO UPDATE SET status = excluded.status`,
      [discarded.id, status],
    )
  await bury('replaying')
  expect(await keys()).toEqual([{ id: head.id, key: 'a', behind: 3 }])
  await bury('discarded')
  expect(await keys()).toEqual([{ id: head.id, key: 'a', behind: 2 }])
})
