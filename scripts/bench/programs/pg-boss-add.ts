/** pg-boss, adding: `insert` of many jobs, two calls in flight. */
import PgBoss from 'pg-boss'
import { orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const BATCH = 500

const boss = new PgBoss({ connectionString: planOf<{ databaseUrl: string }>().databaseUrl, supervise: false })
await boss.start()
await boss.createQueue('bench')

takeOrders((order, count) =>
  repeat(order, { lanes: 2, size: BATCH }, count, () =>
    boss.insert(Array.from({ length: BATCH }, () => ({ name: 'bench', data: orderOf(randomUser(USERS)) }))),
  ),
)
