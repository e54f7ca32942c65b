/** Events for tests that begin at the database. */
import { randomUUID } from 'node:crypto'
import type { AcceptedEvent } from '@eventflow/core'
import { type Db, insertRawEvents, type NewEvent } from '@eventflow/db'

/** An event as ingest would insert it: complete, with a new id and a new key unless given. */
export function newEvent(given: Partial<NewEvent> = {}): NewEvent {
  const id = given.id ?? randomUUID()
  return {
    tenantId: 'default',
    id,
    type: 'test.done',
    source: '/test',
    key: id,
    partition: 0,
    correlationId: id,
    payload: '{}',
    ...given,
  }
}

/** Inserts events as accepted, and returns them as a worker would get them. */
export async function acceptEvents(db: Db, events: readonly NewEvent[]): Promise<AcceptedEvent[]> {
  const accepted = await insertRawEvents(db, events)
  return events.map((given) => {
    const { payload, ...event } = given
    const acceptance = accepted.get(given)!
    return { ...event, ...acceptance, occurredAt: event.occurredAt ?? acceptance.acceptedAt, data: JSON.parse(payload) }
  })
}
