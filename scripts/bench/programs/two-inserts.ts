/** The limit of Postgres: only the two INSERTs that EventFlow makes for an event, in batches. */
import { firstDelivery, type Payload, type Processed, partitionOf } from '@eventflow/core'
import { type Acceptance, connect, insertProcessed, insertRawEvents, type Lease, type NewEvent } from '@eventflow/db'
import { newId, orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const BATCH = 500
/** Concurrent batches in this process. */
const LANES = 2

/** The partitions of a new database have no owner: their epoch is 0. */
const leases = Array.from({ length: 16 }, (_, partition): Lease => ({ partition, epoch: 0, dirty: null }))

const { databaseUrl: url } = planOf<{ databaseUrl: string }>()
const db = connect({ url, applicationName: 'bench', max: LANES, onIdleError: () => {} })

interface Order extends NewEvent {
  data: Payload
}

function newOrder(): Order {
  const key = randomUser(USERS)
  const id = newId()
  const data = orderOf(key)
  const payload = JSON.stringify(data)
  const partition = partitionOf('default', key, 16)
  const fixed = { tenantId: 'default', type: 'bench.plain', source: '/bench' }
  return { ...fixed, id, key, partition, correlationId: id, payload, data }
}

/** The commit of an event that a worker has not changed. */
function commitOf({ payload, ...event }: Order, { seq, acceptedAt }: Acceptance): Processed {
  const delivery = firstDelivery({ ...event, seq, acceptedAt, occurredAt: acceptedAt }, payload, [])
  return { kind: 'processed', delivery, data: event.data, payload }
}

takeOrders((order, count) =>
  repeat(order, { lanes: LANES, size: BATCH }, count, async () => {
    const orders = Array.from({ length: BATCH }, newOrder)
    const { acceptances } = await insertRawEvents(db, orders)
    const commits = orders.map((order) => commitOf(order, acceptances.get(order)!))
    await insertProcessed(db, commits, leases, { workerId: 'bench', processingMs: 1 })
  }),
)
