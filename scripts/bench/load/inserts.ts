/** Orders for the measurements that begin at the database: as ingest inserts them, and as a worker settles them. */
import { randomUUID } from 'node:crypto'
import { firstDelivery, type Payload, type Processed, partitionOf } from '@eventflow/core'
import type { Acceptance, Lease, NewEvent } from '@eventflow/db'
import { newId, orderOf, randomUser, USERS } from './order-events.js'

const PARTITIONS = 16

/** Of all partitions. Those of a new database have no owner: their epoch is 0. */
export const LEASES = Array.from(
  { length: PARTITIONS },
  (_, partition): Lease => ({ partition, epoch: 0, dirty: null }),
)

/** Who settles, and for how long. */
export const SETTLED_BY = { workerId: 'bench', processingMs: 1 }

/** An event to be inserted, with its data. */
export interface Order extends NewEvent {
  data: Payload
}

/**
 * New orders. Their ids are in the order of time, as those of the client, unless they are to be `random`. A lane has
 * partitions of its own, as each worker has.
 */
export function newOrders(count: number, { random = false, lane = 0, lanes = 1, users = USERS } = {}): Order[] {
  return Array.from({ length: count }, () => {
    const id = random ? randomUUID() : newId()
    for (;;) {
      const order = newOrder(id, randomUser(users))
      if (order.partition % lanes === lane) return order
    }
  })
}

/** The leases of the partitions of these orders. */
export function leasesOf(orders: readonly Order[]): Lease[] {
  const partitions = new Set(orders.map(({ partition }) => partition))
  return LEASES.filter(({ partition }) => partitions.has(partition))
}

function newOrder(id: string, key: string): Order {
  const data = orderOf(key)
  const payload = JSON.stringify(data)
  const partition = partitionOf('default', key, PARTITIONS)
  const fixed = { tenantId: 'default', type: 'bench.plain', source: '/bench' }
  return { ...fixed, id, key, partition, correlationId: id, payload, data }
}

/** The commits of orders that a worker has not changed. Throws if one was not accepted. */
export function commitsOf(orders: readonly Order[], acceptances: ReadonlyMap<NewEvent, Acceptance>): Processed[] {
  return orders.map((order) => {
    const acceptance = acceptances.get(order)
    if (!acceptance) throw new Error(`the event ${order.id} was not accepted`)
    const { payload, ...event } = order
    const delivery = firstDelivery({ ...event, ...acceptance, occurredAt: acceptance.acceptedAt }, payload, [])
    return { kind: 'processed', delivery, data: order.data, payload }
  })
}
