/** What the routes of windows and of joins have in common: schemas, and the list of late events. */
import { partitionOf } from '@eventflow/core'
import { type Db, findRowOfKind, type GroupRow, listLateEvents, type Reads, type StatefulKind } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeLateEvent } from '../answers/describe-stateful.js'
import { filterTexts, readFilter, type SentFilter } from '../answers/filter.js'
import { NextPage, PageQuery, type ReadPage, type ReadPlacePage, type SentPage } from '../http/paging.js'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'
import { GroupName } from './group-schemas.js'
import type { OfGroup } from './groups.js'

export interface StatefulRoutesDeps {
  reads: Reads
  readPage: ReadPage
  readPlacePage: ReadPlacePage
  /** The number of partitions of the database. */
  partitions: number
}

/** Returns what a route found. Throws RequestError if there is no window, or join, of this name. */
export function found<Found>(group: Found | undefined, kind: StatefulKind, name: string): Found {
  if (group === undefined) throw new RequestError('group-not-found', `There is no ${kind} ${name}`)
  return group
}

/** Resolves with a window, or a join. Rejects with RequestError if there is none of this name. */
export async function find(db: Db, kind: StatefulKind, name: string): Promise<GroupRow> {
  return found(await findRowOfKind(db, kind, name), kind, name)
}

/** The filter by a key, with its partition. */
export const keyFilter = (tenantId: string, key: string | undefined, partitions: number) =>
  key === undefined ? {} : { key, partition: partitionOf(tenantId, key, partitions) }

export const ofOne = { validatorCompiler: strictly, config: { problems: ['group-not-found'] } } as const

/** The parameter of a filter by key. */
export const { key: Key } = filterTexts('')

export const UP_TO = '; counted up to 10,000'

/** The fields of a window or a join. */
export const statefulFields = {
  name: Type.String(),
  version: Type.Integer(),
  types: Type.Array(Type.String(), { description: 'The event types that it reads' }),
  out_of_orderness_seconds: Type.Number({ description: 'How much later than others an event may arrive' }),
  idle_seconds: Type.Union([Type.Number(), Type.Null()], {
    description: 'After how long without events time goes on; null: only with later events',
  }),
  paused: Type.Boolean(),
  rebuilding: Type.Boolean({ description: 'A new version is being built from the log, and will replace this one' }),
  late_events: Type.Integer({ description: `The tenant’s events that came too late${UP_TO}` }),
  watermark: Type.Union([Type.Object({ min: Moment, max: Moment }), Type.Null()], {
    description:
      'The lowest and the highest of the partitions: event time has come so far. null before the tenant’s first event',
  }),
}

/** The route of the events of a tenant that came too late. */
export function lateRoute(app: FastifyInstance, kind: StatefulKind, { reads, readPage }: StatefulRoutesDeps): void {
  type Query = Pick<SentFilter, 'type' | 'key' | 'from' | 'to'> & SentPage
  app.get<OfGroup & { Querystring: Query }>(
    `/v1/${kind}s/:name/late`,
    { schema: lateSchema(kind), ...ofOne },
    ({ access: { tenantId }, params: { name }, query: { limit, cursor, ...sent } }) => {
      const filter = readFilter(sent)
      return reads.of(tenantId)(async (db) => {
        const group = await find(db, kind, name)
        const page = readPage(`late events of group ${group.groupId}`, tenantId, { limit, cursor })
        const rows = await listLateEvents(db, { group, tenantId }, filter, page)
        const before = rows.length === page.limit ? rows.at(-1)!.seq : null
        return { items: rows.map(describeLateEvent), next: page.next(before) }
      })
    },
  )
}

const lateSchema = (kind: StatefulKind) => ({
  summary: `List late events of a ${kind}`,
  description: `The tenant’s events that the ${kind} could not take into account, because event time had passed them; in pages, the last accepted first. With \`late: 'dead-letter'\` there are none: they are dead letters of the group.`,
  tags: [`${kind}s`],
  params: GroupName,
  querystring: Type.Object({ ...filterTexts('Occurred'), ...PageQuery }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String({ format: 'uuid' }),
          type: Type.String(),
          partitionkey: Type.String(),
          partition: Type.Integer(),
          time: Type.String({ format: 'date-time', description: 'When it occurred' }),
          watermark: Type.String({ format: 'date-time', description: 'How far event time was when it came' }),
          recorded_at: Moment,
        }),
      ),
      next: NextPage,
    }),
  },
})
