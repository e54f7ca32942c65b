/** The other half of the naive pipeline: looks up, inserts and acknowledges one event at a time. */
import { Redis } from 'ioredis'
import pg from 'pg'
import { planOf, sayReady } from '../load/orders.js'
import type { NaivePlan } from './naive-ingest.js'

const plan = planOf<NaivePlan>()
const db = new pg.Pool({ connectionString: plan.databaseUrl, max: 1 })
const redis = new Redis(plan.redisUrl)
await redis.xgroup('CREATE', 'naive', 'workers', '0', 'MKSTREAM')
sayReady()

for (;;) {
  const read = await redis.xreadgroup('GROUP', 'workers', 'one', 'COUNT', 1, 'BLOCK', 1_000, 'STREAMS', 'naive', '>')
  if (!read) continue
  const [[, [entry]]] = read as [[string, [[string, string[]]]]]
  const [entryId, [, id, , type, , acceptedAt, , data]] = entry
  const known = await db.query('SELECT FROM processed_events WHERE event_id = $1', [id])
  if (known.rowCount === 0) {
    await db.query('INSERT INTO processed_events (event_id, type, payload, accepted_at) VALUES ($1, $2, $3, $4)', [
      id,
      type,
      data,
      acceptedAt,
    ])
  }
  await redis.xack('naive', 'workers', entryId)
}
