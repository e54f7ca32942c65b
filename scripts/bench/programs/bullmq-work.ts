/** BullMQ, working: a worker with an empty job function, a hundred jobs at once. */
import { Worker } from 'bullmq'
import { planOf, sayReady } from '../load/orders.js'

const { redisUrl: url } = planOf<{ redisUrl: string }>()
const worker = new Worker('bench', async () => {}, { connection: { url }, concurrency: 100 })
await worker.waitUntilReady()
sayReady()
