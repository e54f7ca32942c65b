/** The limit of HTTP: the same framework receives the same bodies, and answers without any work. */
import fastify from 'fastify'
import { planOf, sayReady } from '../load/orders.js'

const { port } = planOf<{ port: number }>()
const app = fastify({ bodyLimit: 8_388_608 })
app.post<{ Body: { id: string } }>('/v1/events', async ({ body }, reply) => {
  reply.code(202)
  return { id: body.id, status: 'accepted' }
})
app.post<{ Body: unknown[] }>('/v1/events/batch', async ({ body }) => ({ accepted: body.length }))
await app.listen({ port })
sayReady()
