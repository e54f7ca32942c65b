/** The limit of Postgres: the two INSERTs that EventFlow makes of an event, in batches, and nothing around them. */
import { type Delivery, partitionOf } from '@eventflow/core'
import { connect, insertProcessed, insertRawEvents, type NewEvent } from '@eventflow/db'
import { newId, orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const BATCH = 500
/** Batches in work at once in this process. */
const LANES = 2

const { databaseUrl: url } = planOf<{ databaseUrl: string }>()
const db = connect({ url, applicationName: 'bench', max: LANES, onIdleError: () => {} })

function newEvent(): NewEvent {
  const key = randomUser(USERS)
  const id = newId()
  const payload = JSON.stringify(orderOf(key))
  const partition = partitionOf('default', key, 16)
  return { tenantId: 'default', id, type: 'bench.plain', source: '/bench', key, partition, correlationId: id, payload }
}

/** The event as a worker has it. */
function deliveryOf(event: NewEvent, seq: number): Delivery {
  const at = new Date().toISOString()
  const accepted = { ...event, seq, acceptedAt: at, occurredAt: at, data: JSON.parse(event.payload) }
  return { event: accepted, entryIds: [], attempts: 0, history: [], crashes: 0, inRetries: false }
}

takeOrders((order, count) =>
  repeat(order, { lanes: LANES, size: BATCH }, count, async () => {
    const events = Array.from({ length: BATCH }, newEvent)
    const accepted = await insertRawEvents(db, events)
    const seqs = [...accepted.values()].map(({ seq }) => seq)
    const commits = events.map((event, n) => {
      const delivery = deliveryOf(event, seqs[n]!)
      return { kind: 'commit' as const, delivery, data: delivery.event.data }
    })
    await insertProcessed(db, commits, { workerId: 'bench', processingMs: 1 })
  }),
)
