/** Routes of joins: their definitions, the events that wait in them, and late events. */
import { listJoinRows } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeJoin, describeJoinRow } from '../answers/describe-stateful.js'
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

export function joinRoutes(app: FastifyInstance, deps: StatefulRoutesDeps): void {
  const kind = 'join'
  statefulRoutes(app, { kind, Summary: Join, describe: describeJoin }, deps)
  const waiting = { name: 'waiting', schema: waitingSchema, filterOf: keyFilter(deps) }
  rowsRoute(app, { kind, ...waiting, list: listJoinRows, describe: describeJoinRow }, deps)
}

const Join = Type.Object({
  ...statefulFields,
  waiting: Type.Integer({ description: `The tenant’s events that may still be joined with others${UP_TO}` }),
})

const Side = Type.Union([Type.Literal('left'), Type.Literal('right')])

const waitingSchema = {
  summary: 'List events that wait in a join',
  description: 'The tenant’s events that may still be joined with others, in pages, by key.',
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
          expires_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
            description: 'It waits until the watermark is here; null: until a later event of its key replaces it',
          }),
          matched: Type.Boolean({ description: 'It was joined with at least one other event' }),
        }),
      ),
      next: NextPage,
    }),
  },
}
