/** graphile-worker, adding: `addJobs`, two calls in flight. */
import { makeWorkerUtils } from 'graphile-worker'
import { orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const BATCH = 500

const utils = await makeWorkerUtils({ connectionString: planOf<{ databaseUrl: string }>().databaseUrl })
await utils.migrate()

takeOrders((order, count) =>
  repeat(order, { lanes: 2, size: BATCH }, count, () =>
    utils.addJobs(Array.from({ length: BATCH }, () => ({ identifier: 'order', payload: orderOf(randomUser(USERS)) }))),
  ),
)
