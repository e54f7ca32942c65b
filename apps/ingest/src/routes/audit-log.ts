/** The audit log. */
import { type KeptAuditEntry, listAuditLog, type Reads } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeFilter } from '../answers/filter.js'
import { describePage, NextPage, PageQuery, type ReadPage, type SentPage } from '../http/paging.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'

export function auditRoutes(app: FastifyInstance, { reads, readPage }: { reads: Reads; readPage: ReadPage }): void {
  app.get<{ Querystring: SentPage }>(
    '/v1/audit-log',
    { schema, validatorCompiler: strictly },
    async ({ query, access: { tenantId } }) => {
      const page = readPage('audit log', tenantId, query)
      const entries = await reads.of(tenantId)((db) => listAuditLog(db, tenantId, page))
      return describePage(page, entries, ({ id }) => id, describeEntry)
    },
  )
}

function describeEntry({ at, actor, action, operationId, filter, count, reason, subject }: KeptAuditEntry) {
  return { at, actor, action, operation_id: operationId, subject, filter: describeFilter(filter), count, reason }
}

const schema = {
  summary: 'Read the audit log',
  description:
    'Replays, discards, changes of API keys and similar actions, newest first, each with its actor, events and reason.',
  tags: ['operations'],
  querystring: Type.Object(PageQuery, { additionalProperties: false }),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          at: Moment,
          actor: Type.String(),
          action: Type.String(),
          operation_id: Type.Union([Type.String({ format: 'uuid' }), Type.Null()]),
          subject: Type.Union([Type.String(), Type.Null()], {
            description: 'What was changed, if not events; for a replay, the schema version',
          }),
          filter: Type.Object({}, { additionalProperties: true }),
          count: Type.Integer({ description: 'Number of events' }),
          reason: Type.Union([Type.String(), Type.Null()]),
        }),
      ),
      next: NextPage,
    }),
  },
}
