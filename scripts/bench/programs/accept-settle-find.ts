/** Accepts events in small batches at a fixed rate, then settles and finds them: the statements beside retention. */
import { type Acceptance, connect, findRawEvents, insertProcessed, insertRawEvents, type NewEvent } from '@eventflow/db'
import { commitsOf, leasesOf, newOrders, type Order, SETTLED_BY } from '../load/inserts.js'
import { runOpenLoop } from '../load/open-loop.js'
import { planOf, takeOrders } from '../load/orders.js'
import { Latencies } from '../statistics.js'

/** What it sends. */
export interface AcceptSettleFind {
  databaseUrl: string
  /** Events of a batch. */
  batch: number
}

/** Connections for accepting, and as many for the rest. */
const LANES = 4

const { databaseUrl: url, batch } = planOf<AcceptSettleFind>()
const pool = (plansOnce: boolean) =>
  connect({ url, applicationName: 'bench', max: LANES, plansOnce, onIdleError: () => {} })
const accepting = pool(true)
const others = pool(false)

takeOrders(async (order, count) => {
  if (!('rate' in order) || order.rate === undefined) throw new Error('it needs a time and a rate')
  const latencies = { settle: new Latencies(), find: new Latencies() }
  const following: Promise<void>[] = []

  async function timed(of: Latencies, statement: () => Promise<unknown>): Promise<void> {
    const startedAt = performance.now()
    await statement()
    of.record(performance.now() - startedAt)
  }

  async function settleAndFind(orders: Order[], acceptances: Map<NewEvent, Acceptance>): Promise<void> {
    const commits = commitsOf(orders, acceptances)
    await timed(latencies.settle, () => insertProcessed(others, commits, leasesOf(orders), SETTLED_BY))
    await timed(latencies.find, () => findRawEvents(others, orders))
  }

  const pace = { seconds: order.seconds, rate: order.rate / batch }
  const report = await runOpenLoop(pace, LANES, async () => {
    const orders = newOrders(batch)
    const { acceptances } = await insertRawEvents(accepting, orders)
    count(batch)
    following.push(settleAndFind(orders, acceptances))
  })
  await Promise.all(following)
  const found = Object.entries(latencies).map(([name, of]) => [name, of.percentiles()])
  return { ...report, events: report.events * batch, others: Object.fromEntries(found) }
})
