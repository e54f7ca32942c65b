/** The route that searches events by attributes, status and time. */
import { EVENT_STATUSES, type EventStatus, partitionOf } from '@eventflow/core'
import { type DbOf, listEvents, type Reads } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeListedEvent } from '../answers/describe-event.js'
import { filterTexts, readFilter, type SentFilter } from '../answers/filter.js'
import { possibleIds } from '../http/event-name.js'
import { NextPage, PageQuery, type ReadPage, type SentPage } from '../http/paging.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'
import { attributes } from './event-schemas.js'

interface Search extends Pick<SentFilter, 'type' | 'key' | 'from' | 'to'>, SentPage {
  id?: string
  source?: string
  correlation_id?: string
  status?: EventStatus
}

export interface SearchRoutesDeps {
  dbOf: DbOf
  reads: Reads
  readPage: ReadPage
  /** The number of partitions of the database. */
  partitions: number
}

export function searchRoutes(app: FastifyInstance, { dbOf, reads, readPage, partitions }: SearchRoutesDeps): void {
  app.get<{ Querystring: Search }>(
    '/v1/events',
    { schema, validatorCompiler: strictly },
    async ({ access: { tenantId }, query: { id, source, correlation_id, status, limit, cursor, ...sent } }) => {
      const filter = readFilter(sent)
      const query = {
        tenantId,
        ...filter,
        ...(id !== undefined && { ids: possibleIds({ tenantId, id, source }) }),
        ...(source !== undefined && { source }),
        ...(correlation_id !== undefined && { correlationId: correlation_id }),
        ...(status && { status }),
        ...(filter.key !== undefined && { partition: partitionOf(tenantId, filter.key, partitions) }),
      }
      const page = readPage('events', tenantId, { limit, cursor })
      // By id it finds what was accepted just now, so it asks the primary.
      const { rows, before } =
        id === undefined
          ? await reads.of(tenantId)((db) => listEvents(db, query, page))
          : await listEvents(dbOf(tenantId), query, page)
      return { items: rows.map(describeListedEvent), next: page.next(before) }
    },
  )
}

const schema = {
  summary: 'Search events',
  description:
    'In pages, the last accepted first. Searches by id or correlation id, and for failed or retrying events, are fast. Other searches read events from the newest backwards for about a second: a page may have few items or none and still have `next`.',
  tags: ['events'],
  querystring: Type.Object(
    {
      id: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 200,
          description: 'The event’s id, or the producer’s id with its source',
        }),
      ),
      source: Type.Optional(
        Type.String({ minLength: 1, maxLength: 200, description: 'The source of a producer’s id' }),
      ),
      correlation_id: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
      ...filterTexts('Accepted'),
      status: Type.Optional(Type.Union(EVENT_STATUSES.map((status) => Type.Literal(status)))),
      ...PageQuery,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          ...attributes,
          status: Type.String({ description: EVENT_STATUSES.join(', ') }),
          attempts: Type.Integer(),
          accepted_at: Moment,
          settled_at: Type.Optional(Moment),
          retry_at: Type.Optional(Moment),
          error_class: Type.Optional(Type.String()),
          message: Type.Optional(Type.String()),
        }),
      ),
      next: NextPage,
    }),
  },
}
