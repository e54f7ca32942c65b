/** BullMQ, adding: `addBulk`, two calls in flight. */
import { Queue } from 'bullmq'
import { orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const BATCH = 500

const { redisUrl: url } = planOf<{ redisUrl: string }>()
const queue = new Queue('bench', {
  connection: { url },
  defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
})

takeOrders((order, count) =>
  repeat(order, { lanes: 2, size: BATCH }, count, () =>
    queue.addBulk(Array.from({ length: BATCH }, () => ({ name: 'order', data: orderOf(randomUser(USERS)) }))),
  ),
)
