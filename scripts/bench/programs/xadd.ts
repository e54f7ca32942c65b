/** The limit of Redis: only pipelines of XADD. */
import { Redis } from 'ioredis'
import { newId, orderOf, randomUser, USERS } from '../load/order-events.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'

const PIPELINE = 500
const LANES = 2
const STREAMS = 16

const redis = new Redis(planOf<{ redisUrl: string }>().redisUrl)

takeOrders((order, count) =>
  repeat(order, { lanes: LANES, size: PIPELINE }, count, async () => {
    const pipeline = redis.pipeline()
    for (let n = 0; n < PIPELINE; n++) {
      const entry = JSON.stringify({ id: newId(), data: orderOf(randomUser(USERS)) })
      pipeline.xadd(`limit:${n % STREAMS}`, '*', 'e', entry)
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
  }),
)
