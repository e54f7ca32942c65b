/** Keys that wait behind an event that is to be tried again, and the way past it. */
import { isUuid } from '@eventflow/core'
import { type DbOf, readWaitingKeys, skipWaiting, type WaitingKey } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { operatorOf, strictly } from '../http/request.js'
import { waitingSince } from '../live/troubles.js'

const MAX_KEYS = 100

export interface WaitingRoutesDeps {
  dbOf: DbOf
  /** The types whose events wait for nobody. */
  unordered: readonly string[]
}

export function waitingRoutes(app: FastifyInstance, { dbOf, unordered }: WaitingRoutesDeps): void {
  app.get('/v1/waiting', { schema: listSchema }, async ({ access: { tenantId } }) => {
    const keys = await readWaitingKeys(dbOf(tenantId), tenantId, { unordered, limit: MAX_KEYS, countBehind: true })
    return { items: keys.map(describeWaiting) }
  })

  app.post<{ Params: { id: string }; Body: { reason: string } }>(
    '/v1/waiting/:id/skip',
    { schema: skipSchema, validatorCompiler: strictly, config: { problems: ['operation-conflict'] } },
    async (request) => {
      const { id } = request.params
      const { tenantId } = request.access
      const skip = { tenantId, id, by: operatorOf(request), reason: request.body.reason }
      if (isUuid(id) && (await skipWaiting(dbOf(tenantId), skip))) return { id, status: 'failed' }
      throw new RequestError('operation-conflict', `The event ${id} does not wait for another attempt`)
    },
  )
}

function describeWaiting(head: WaitingKey) {
  const { id, type, key, partition, attempts, acceptedAt, dueAt, history, behind } = head
  const last = history.at(-1)
  return {
    ...{ id, type, partitionkey: key, partition, attempts, behind },
    accepted_at: acceptedAt,
    waiting_since: new Date(waitingSince(head)),
    retry_at: dueAt,
    ...(last && { component: last.component, error_class: last.errorClass, message: last.message }),
  }
}

const listSchema = {
  summary: 'Keys that wait',
  description: 'For each the event at its head, those that have waited the longest first.',
  tags: ['operation'],
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String({ format: 'uuid', description: 'Of the event at the head' }),
          type: Type.String(),
          partitionkey: Type.String(),
          partition: Type.Integer(),
          attempts: Type.Integer({ description: 'That have failed' }),
          behind: Type.Integer({
            description: 'Events of the key that wait behind it, of the next 2,000 of its partition',
          }),
          accepted_at: Moment,
          waiting_since: Moment,
          retry_at: Moment,
          component: Type.Optional(Type.String()),
          error_class: Type.Optional(Type.String()),
          message: Type.Optional(Type.String()),
        }),
      ),
    }),
  },
}

const skipSchema = {
  summary: 'Skip an event that waits',
  description:
    'It becomes a dead letter without further attempts, and those that wait behind it go on. Its partition pauses for some seconds: it is taken from its owner, so that nothing that is under way can contradict. The dead letter can be replayed, out of its order.',
  tags: ['operation'],
  headers: Type.Object({ 'x-operator': Type.Optional(Type.String({ description: 'Who asks, for the audit log' })) }),
  params: Type.Object({ id: Type.String({ maxLength: 200, description: 'Of the event, as it is listed' }) }),
  body: Type.Object(
    { reason: Type.String({ maxLength: 500, pattern: '\\S', description: 'Why; kept with the event' }) },
    { additionalProperties: false, examples: [{ reason: 'the sender has sent a better one' }] },
  ),
  response: {
    200: Type.Object({ id: Type.String({ format: 'uuid' }), status: Type.Literal('failed') }),
  },
}
