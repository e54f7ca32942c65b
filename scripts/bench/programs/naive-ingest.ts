/** Half of the naive pipeline: inserts and publishes each event separately. */
import fastify from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { planOf, sayReady } from '../load/orders.js'

export interface NaivePlan {
  databaseUrl: string
  redisUrl: string
  port: number
}

interface Event {
  type: string
  id: string
  data: object
}

const plan = planOf<NaivePlan>()
const db = new pg.Pool({ connectionString: plan.databaseUrl, max: 10 })
const redis = new Redis(plan.redisUrl)

async function accept({ id, type, data }: Event): Promise<void> {
  const payload = JSON.stringify(data)
  const { rows } = await db.query(
    'INSERT INTO raw_events (event_id, type, payload) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING accepted_at',
    [id, type, payload],
  )
  if (rows.length === 0) return
  await redis.xadd(
    'naive',
    '*',
    'id',
    id,
    'type',
    type,
    'accepted_at',
    rows[0].accepted_at.toISOString(),
    'data',
    payload,
  )
}

const app = fastify()
app.post<{ Body: Event }>('/v1/events', async ({ body }, reply) => {
  await accept(body)
  reply.code(202)
  return { id: body.id, status: 'accepted' }
})
app.post<{ Body: Event[] }>('/v1/events/batch', async ({ body }) => {
  for (const event of body) await accept(event)
  return { accepted: body.length }
})
await app.listen({ port: plan.port })
sayReady()
