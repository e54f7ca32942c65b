/** Routes of joins: their definitions, the events that wait in them, and late events. */
import { findStateful, listJoinRows, listStateful } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeJoin, describeJoinRow } from '../answers/describe-stateful.js'
import { NextPage, PageQuery, PlaceQuery, type SentPage } from '../http/paging.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'
import { GroupName } from './group-schemas.js'
import type { OfGroup } from './groups.js'
import {
  find,
  found,
  Key,
  keyFilter,
  lateRoute,
  ofOne,
  type StatefulRoutesDeps,
  statefulFields,
  UP_TO,
} from './stateful.js'

export function joinRoutes(app: FastifyInstance, deps: StatefulRoutesDeps): void {
  const { reads, readPage, readPlacePage, partitions } = deps
  const kind = 'join'

  app.get<{ Querystring: SentPage }>(
    '/v1/joins',
    { schema: listSchema, validatorCompiler: strictly },
    async ({ access: { tenantId }, query }) => {
      const page = readPage('joins', tenantId, query)
      const groups = await reads.of(tenantId)((db) => listStateful(db, { kind, tenantId }, page))
      const before = groups.length === page.limit ? groups.at(-1)!.groupId : null
      return { items: groups.map(describeJoin), next: page.next(before) }
    },
  )

  app.get<OfGroup>('/v1/joins/:name', { schema: oneSchema, ...ofOne }, ({ access: { tenantId }, params: { name } }) =>
    reads.of(tenantId)(async (db) => {
      const group = await findStateful(db, { kind, name, tenantId })
      return describeJoin(found(group, kind, name))
    }),
  )

  app.get<OfGroup & { Querystring: { key?: string; side?: 'left' | 'right' } & SentPage }>(
    '/v1/joins/:name/waiting',
    { schema: waitingSchema, ...ofOne },
    ({ access: { tenantId }, params: { name }, query: { key, side, ...sent } }) =>
      reads.of(tenantId)(async (db) => {
        const group = await find(db, kind, name)
        const page = readPlacePage(`waiting rows of group ${group.groupId}`, tenantId, sent)
        const filter = { ...keyFilter(tenantId, key, partitions), ...(side && { side }) }
        const { rows, next } = await listJoinRows(db, { group, tenantId }, filter, page)
        return { items: rows.map(describeJoinRow), next: page.next(next) }
      }),
  )

  lateRoute(app, kind, deps)
}

const Join = Type.Object({
  ...statefulFields,
  waiting: Type.Integer({ description: `The tenant’s events that may still be joined with others${UP_TO}` }),
})

const listSchema = {
  summary: 'List the joins',
  description:
    'In pages, the newest first. They are defined in code and read the events of all tenants; the counts are those of the tenant that asks.',
  tags: ['joins'],
  querystring: Type.Object(PageQuery, { additionalProperties: false }),
  response: { 200: Type.Object({ items: Type.Array(Join), next: NextPage }) },
}

const oneSchema = { summary: 'One join', tags: ['joins'], params: GroupName, response: { 200: Join } }

const Side = Type.Union([Type.Literal('left'), Type.Literal('right')])

const waitingSchema = {
  summary: 'List events that wait in a join',
  description: 'The tenant’s events that may still be joined with others, in pages, by key.',
  tags: ['joins'],
  params: GroupName,
  querystring: Type.Object({ key: Key, side: Type.Optional(Side), ...PlaceQuery }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.Optional(
            Type.String({ format: 'uuid', description: 'Missing, as the type, if retention has removed the event' }),
          ),
          type: Type.Optional(Type.String()),
          side: Side,
          partitionkey: Type.String(),
          partition: Type.Integer(),
          time: Moment,
          expires_at: Type.String({ format: 'date-time', description: 'It waits until the watermark is here' }),
          matched: Type.Boolean({ description: 'It was joined with at least one other event' }),
        }),
      ),
      next: NextPage,
    }),
  },
}
