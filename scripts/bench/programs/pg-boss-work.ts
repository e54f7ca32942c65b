/** pg-boss, working: `fetch` and `complete` in batches. Its `work()` sleeps between batches and would be slower. */
import { setTimeout as delay } from 'node:timers/promises'
import PgBoss from 'pg-boss'
import { planOf, sayReady } from '../load/orders.js'

const BATCH = 500
const LANES = 2
const IDLE_MS = 5

const boss = new PgBoss({ connectionString: planOf<{ databaseUrl: string }>().databaseUrl })
await boss.start()
sayReady()

async function work(): Promise<never> {
  for (;;) {
    const jobs = await boss.fetch('bench', { batchSize: BATCH })
    if (jobs.length === 0) await delay(IDLE_MS)
    else {
      await boss.complete(
        'bench',
        jobs.map(({ id }) => id),
      )
    }
  }
}

await Promise.all(Array.from({ length: LANES }, work))
