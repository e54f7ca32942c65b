/** `bench.handled`: enriched, and summed by user in the transaction that settles it. */
import { defineEvent } from '@eventflow/sdk'
import { enrichment, Order, prepareCountries } from '../order-schema.js'

export default defineEvent({
  type: 'bench.handled',
  schema: Order,
  key: (order) => order.userId,
  enrich: enrichment,
  handleBatch: async (orders, tx) => {
    await tx.query(
      `INSERT INTO bench_revenue AS revenue (user_id, orders, total)
       SELECT user_id, count(*), sum(total) FROM unnest($1::text[], $2::int[]) AS sale (user_id, total)
       GROUP BY user_id ORDER BY user_id
       ON CONFLICT (user_id) DO UPDATE
         SET orders = revenue.orders + excluded.orders, total = revenue.total + excluded.total`,
      [orders.map(({ data }) => data.userId), orders.map(({ data }) => data.total)],
    )
  },
  prepare: async (tx) => {
    await prepareCountries(tx)
    await tx.query('CREATE TABLE IF NOT EXISTS bench_revenue (user_id text PRIMARY KEY, orders bigint, total bigint)')
  },
})
