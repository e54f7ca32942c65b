/** Routes of blocked keys, and for skipping the event that blocks one. */
import { isUuid } from '@eventflow/core'
import { type DbOf, type Reads, readWaitingKeys, skipWaiting, type WaitingKey } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { operatorOf, strictly } from '../http/request.js'
import { waitingSince } from '../live/troubles.js'

const MAX_KEYS = 100

export interface WaitingRoutesDeps {
  dbOf: DbOf
  reads: Reads
  /** The types whose events have no order. */
  unordered: readonly string[]
}

export function waitingRoutes(app: FastifyInstance, { dbOf, reads, unordered }: WaitingRoutesDeps): void {
  app.get('/v1/waiting', { schema: listSchema }, async ({ access: { tenantId } }) => {
    const asked = { unordered, limit: MAX_KEYS, countBehind: true }
    const keys = await reads.of(tenantId)((db) => readWaitingKeys(db, tenantId, asked))
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
      throw new RequestError('operation-conflict', `The event ${id} does not await a retry`)
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
  summary: 'List the blocked keys',
  description: 'For each key the event that awaits a retry; the longest waiting first.',
  tags: ['operation'],
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String({ format: 'uuid', description: 'Id of the event that awaits a retry' }),
          type: Type.String(),
          partitionkey: Type.String(),
          partition: Type.Integer(),
          attempts: Type.Integer({ description: 'Failed attempts' }),
          behind: Type.Integer({
            description: 'Blocked events of the key, among the next 2,000 of its partition',
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
  summary: 'Skip an event that awaits a retry',
  description:
    'The event fails without further attempts, and the events blocked by it continue. Its partition pauses for some seconds, because it is taken from its owner: a batch in progress cannot settle the event differently. The dead letter can be replayed, out of order.',
  tags: ['operation'],
  headers: Type.Object({
    'x-operator': Type.Optional(Type.String({ description: 'The operator’s name, for the audit log' })),
  }),
  params: Type.Object({ id: Type.String({ maxLength: 200, description: 'The id of the event, as in the list' }) }),
  body: Type.Object(
    { reason: Type.String({ maxLength: 500, pattern: '\\S', description: 'The reason, kept with the event' }) },
    { additionalProperties: false, examples: [{ reason: 'the producer has sent a corrected one' }] },
  ),
  response: {
    200: Type.Object({ id: Type.String({ format: 'uuid' }), status: Type.Literal('failed') }),
  },
}
