/** Events for tests that begin at the database. */
import { randomUUID } from 'node:crypto'
import type { AcceptedEvent, Delivery, Processed } from '@eventflow/core'
import {
  type Db,
  findRawEvents,
  insertRawEvents,
  type Lease,
  type NewEvent,
  type StoredEvent,
  takePartitions,
} from '@eventflow/db'

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
  const { acceptances } = await insertRawEvents(db, events)
  return events.map((given) => {
    const { payload, ...event } = given
    const acceptance = acceptances.get(given)!
    return { ...event, ...acceptance, occurredAt: event.occurredAt ?? acceptance.acceptedAt, data: JSON.parse(payload) }
  })
}

/** The stored events with these ids, by `identityOf`. Throws if retention has removed one. */
export async function findStored(
  db: Db,
  ids: readonly { tenantId: string; id: string }[],
): Promise<Map<string, StoredEvent>> {
  return new Map(
    [...(await findRawEvents(db, ids))].map(([identity, stored]) => {
      if (stored === 'removed') throw new Error(`the event ${identity} was removed`)
      return [identity, stored]
    }),
  )
}

/** An event as a lane hands it to processing. */
export function deliveryOf(event: AcceptedEvent, attempts = 0): Delivery {
  return { event, attempts, payload: '{}', entryIds: [], history: [], crashes: 0, inRetries: attempts > 0 }
}

/** An event that was processed without a change. */
export function processedOf(event: AcceptedEvent): Processed {
  return { kind: 'processed', delivery: deliveryOf(event), data: {}, payload: '{}' }
}

/** Takes partitions for a worker; resolves with its leases. */
export async function takeLeases(db: Db, partitions: readonly number[], leaseMs = 60_000): Promise<Lease[]> {
  const taken = await takePartitions(db, 'a', partitions, { reclaim: false, leaseMs })
  return taken.map(({ partition, epoch }) => ({ partition, epoch, dirty: 0 }))
}
