/** The limit of Postgres: only the two INSERTs that EventFlow makes for an event, in batches. */
import { connect, insertProcessed, insertRawEvents } from '@eventflow/db'
import { acceptAsBeforeParts, insertProcessedAsBeforeParts } from '@eventflow/testkit'
import { commitsOf, leasesOf, newOrders, SETTLED_BY } from '../load/inserts.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

/** How it inserts. */
export interface TwoInserts {
  databaseUrl: string
  /** Events of a statement. */
  batch?: number
  /** Concurrent batches, each on a connection. */
  lanes?: number
  /** The number of users whose orders they are; 100,000 if undefined. */
  users?: number
  /** The ids are not in the order of time. */
  randomIds?: boolean
  /** With the statements of the version before the tables were in parts. */
  beforeParts?: boolean
}

const plan = planOf<TwoInserts>()
const { databaseUrl: url, batch = 500, lanes = 2, users, randomIds: random = false, beforeParts = false } = plan
const ordersOf = (lane: number) => newOrders(batch, { random, lane, lanes, ...(users && { users }) })
const pool = (plansOnce: boolean) =>
  connect({ url, applicationName: 'bench', max: lanes, plansOnce, onIdleError: () => {} })
// As ingest and workers connect.
const accepting = pool(!beforeParts)
const settling = pool(false)

async function insertBoth(lane: number): Promise<void> {
  const orders = ordersOf(lane)
  const { acceptances } = await insertRawEvents(accepting, orders)
  const { broken, inserted } = await insertProcessed(
    settling,
    commitsOf(orders, acceptances),
    leasesOf(orders),
    SETTLED_BY,
  )
  if (broken.size > 0 || inserted.size < batch) throw new Error(`only ${inserted.size} of ${batch} events were settled`)
}

async function insertBothAsBeforeParts(lane: number): Promise<void> {
  const orders = ordersOf(lane)
  const commits = commitsOf(orders, await acceptAsBeforeParts(accepting, orders))
  const inserted = await insertProcessedAsBeforeParts(settling, commits, leasesOf(orders), SETTLED_BY)
  if (inserted.length < batch) throw new Error(`only ${inserted.length} of ${batch} events were settled`)
}

takeOrders((order, count) =>
  repeat(order, { lanes, size: batch }, count, beforeParts ? insertBothAsBeforeParts : insertBoth),
)
