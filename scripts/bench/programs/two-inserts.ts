/** The limit of Postgres: the two INSERTs that EventFlow makes of an event, in batches, and nothing around them. */
import { type Commit, firstDelivery, partitionOf } from '@eventflow/core'
import { connect, insertProcessed, insertRawEvents, type Lease, type NewEvent } from '@eventflow/db'
import { newId, orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const BATCH = 500
/** Batches in work at once in this process. */
const LANES = 2

/** Nobody owns the partitions of a new database: their epoch is 0. */
const leases = Array.from({ length: 16 }, (_, partition): Lease => ({ partition, epoch: 0, dirty: null }))

const { databaseUrl: url } = planOf<{ databaseUrl: string }>()
const db = connect({ url, applicationName: 'bench', max: LANES, onIdleError: () => {} })

function newEvent(): NewEvent {
  const key = randomUser(USERS)
  const id = newId()
  const payload = JSON.stringify(orderOf(key))
  const partition = partitionOf('default', key, 16)
  return { tenantId: 'default', id, type: 'bench.plain', source: '/bench', key, partition, correlationId: id, payload }
}

/** The event as a worker that has done nothing to it commits it. */
function commitOf(event: NewEvent, seq: number): Commit {
  const at = new Date().toISOString()
  const delivery = firstDelivery({ ...event, seq, acceptedAt: at, occurredAt: at }, [])
  return { kind: 'commit', delivery, data: delivery.event.data, payload: event.payload }
}

takeOrders((order, count) =>
  repeat(order, { lanes: LANES, size: BATCH }, count, async () => {
    const events = Array.from({ length: BATCH }, newEvent)
    const accepted = await insertRawEvents(db, events)
    const seqs = [...accepted.values()].map(({ seq }) => seq)
    const commits = events.map((event, n) => commitOf(event, seqs[n]!))
    await insertProcessed(db, commits, leases, { workerId: 'bench', processingMs: 1 })
  }),
)
