/** Routes of windows: their definitions, results, open windows and late events. */
import { listOpenWindows, listWindowResults } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeOpenWindow, describeResult, describeWindow } from '../answers/describe-stateful.js'
import { readFilter, type SentFilter } from '../answers/filter.js'
import { NextPage, PlaceQuery } from '../http/paging.js'
import { Moment } from '../http/reply.js'
import {
  Key,
  keyFilter,
  rowsRoute,
  type StatefulRoutesDeps,
  statefulFields,
  statefulRoutes,
  UP_TO,
} from './stateful.js'

export function windowRoutes(app: FastifyInstance, deps: StatefulRoutesDeps): void {
  const kind = 'window'
  statefulRoutes(app, { kind, Summary: Window, describe: describeWindow }, deps)
  const results = { name: 'results', schema: resultsSchema, filterOf: (sent: SentFilter) => readFilter(sent) }
  rowsRoute(app, { kind, ...results, list: listWindowResults, describe: describeResult }, deps)
  const open = { name: 'open', schema: openSchema, filterOf: keyFilter(deps) }
  rowsRoute(app, { kind, ...open, list: listOpenWindows, describe: describeOpenWindow }, deps)
}

const Window = Type.Object({
  ...statefulFields,
  open_windows: Type.Integer({ description: `The tenant’s panes and sessions that are not closed${UP_TO}` }),
  results: Type.Integer({ description: `The tenant’s results that are kept${UP_TO}` }),
})

const AnyJson = (description: string) => Type.Object({}, { additionalProperties: true, description })

const resultsSchema = {
  summary: 'List results of a window',
  description:
    'Final results of the tenant’s events, in pages, those of the latest windows first. A page may have fewer items than `limit` if they are large.',
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
