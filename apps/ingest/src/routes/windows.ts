/** Routes of windows: their definitions, results, open windows and late events. */
import { findStateful, listOpenWindows, listStateful, listWindowResults } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeOpenWindow, describeResult, describeWindow } from '../answers/describe-stateful.js'
import { readFilter, type SentFilter } from '../answers/filter.js'
import { NextPage, PageQuery, PlaceQuery, type SentPage } from '../http/paging.js'
import { asItIs, Moment } from '../http/reply.js'
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

export function windowRoutes(app: FastifyInstance, deps: StatefulRoutesDeps): void {
  const { reads, readPage, readPlacePage, partitions } = deps
  const kind = 'window'

  app.get<{ Querystring: SentPage }>(
    '/v1/windows',
    { schema: listSchema, validatorCompiler: strictly },
    async ({ access: { tenantId }, query }) => {
      const page = readPage('windows', tenantId, query)
      const groups = await reads.of(tenantId)((db) => listStateful(db, { kind, tenantId }, page))
      const before = groups.length === page.limit ? groups.at(-1)!.groupId : null
      return { items: groups.map(describeWindow), next: page.next(before) }
    },
  )

  app.get<OfGroup>('/v1/windows/:name', { schema: oneSchema, ...ofOne }, ({ access: { tenantId }, params: { name } }) =>
    reads.of(tenantId)(async (db) => {
      const group = await findStateful(db, { kind, name, tenantId })
      return describeWindow(found(group, kind, name))
    }),
  )

  app.get<OfGroup & { Querystring: Pick<SentFilter, 'key' | 'from' | 'to'> & SentPage }>(
    '/v1/windows/:name/results',
    { schema: resultsSchema, serializerCompiler: asItIs, ...ofOne },
    ({ access: { tenantId }, params: { name }, query: { limit, cursor, ...sent } }) => {
      const filter = readFilter(sent)
      return reads.of(tenantId)(async (db) => {
        const group = await find(db, kind, name)
        const page = readPlacePage(`results of group ${group.groupId}`, tenantId, { limit, cursor })
        const { rows, next } = await listWindowResults(db, { group, tenantId }, filter, page)
        return { items: rows.map(describeResult), next: page.next(next) }
      })
    },
  )

  app.get<OfGroup & { Querystring: { key?: string } & SentPage }>(
    '/v1/windows/:name/open',
    { schema: openSchema, serializerCompiler: asItIs, ...ofOne },
    ({ access: { tenantId }, params: { name }, query: { key, ...sent } }) =>
      reads.of(tenantId)(async (db) => {
        const group = await find(db, kind, name)
        const page = readPlacePage(`open windows of group ${group.groupId}`, tenantId, sent)
        const filter = keyFilter(tenantId, key, partitions)
        const { rows, next } = await listOpenWindows(db, { group, tenantId }, filter, page)
        return { items: rows.map(describeOpenWindow), next: page.next(next) }
      }),
  )

  lateRoute(app, kind, deps)
}

const Window = Type.Object({
  ...statefulFields,
  open_windows: Type.Integer({ description: `The tenant’s panes and sessions that are not closed${UP_TO}` }),
  results: Type.Integer({ description: `The tenant’s results that are kept${UP_TO}` }),
})

const listSchema = {
  summary: 'List the windows',
  description:
    'In pages, the newest first. They are defined in code and read the events of all tenants; the counts are those of the tenant that asks.',
  tags: ['windows'],
  querystring: Type.Object(PageQuery, { additionalProperties: false }),
  response: { 200: Type.Object({ items: Type.Array(Window), next: NextPage }) },
}

const oneSchema = { summary: 'One window', tags: ['windows'], params: GroupName, response: { 200: Window } }

const AnyJson = (description: string) => Type.Object({}, { additionalProperties: true, description })

const resultsSchema = {
  summary: 'List results of a window',
  description:
    'Final results of the tenant’s events, in pages, those of the latest windows first. A page may have fewer items than `limit` if they are large.',
  tags: ['windows'],
  params: GroupName,
  querystring: Type.Object(
    {
      key: Key,
      from: Type.Optional(Type.String({ format: 'date-time', description: 'The window ends after this time' })),
      to: Type.Optional(Type.String({ format: 'date-time', description: 'The window ends at this time or before' })),
      ...PlaceQuery,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          key: Type.String(),
          start: Moment,
          end: Type.String({ format: 'date-time', description: 'The window ends before this time' }),
          partition: Type.Integer(),
          closed_at: Moment,
          result: AnyJson('The aggregates by their names'),
        }),
      ),
      next: NextPage,
    }),
  },
}

const openSchema = {
  summary: 'List open windows',
  description:
    'The tenant’s windows that are not closed, in pages, by key. Of windows that overlap, their parts. A page may have fewer items than `limit` if their states are large.',
  tags: ['windows'],
  params: GroupName,
  querystring: Type.Object({ key: Key, ...PlaceQuery }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          key: Type.String(),
          start: Moment,
          end: Moment,
          closes_at: Type.String({ format: 'date-time', description: 'It closes when the watermark is here' }),
          partition: Type.Integer(),
          state_bytes: Type.Integer({ description: 'Of `state` as JSON' }),
          state: AnyJson('What the aggregates remember, by their names; their values are computed when it closes'),
        }),
      ),
      next: NextPage,
    }),
  },
}
