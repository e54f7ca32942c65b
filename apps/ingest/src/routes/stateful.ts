/** The routes that windows and joins share, and the form of those that only one of them has. */
import { partitionOf } from '@eventflow/core'
import {
  type Db,
  findRowOfKind,
  findStateful,
  listLateEvents,
  listStateful,
  type PlacedRows,
  type PlacePage,
  type Reads,
  type StatefulGroup,
  type StatefulKind,
  type StatefulRows,
} from '@eventflow/db'
import { type TSchema, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeLateEvent } from '../answers/describe-stateful.js'
import { filterTexts, readFilter, type SentFilter } from '../answers/filter.js'
import { describePage, NextPage, PageQuery, type ReadPage, type ReadPlacePage, type SentPage } from '../http/paging.js'
import { asItIs, Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'
import { GroupName } from './group-schemas.js'
import { foundGroup, type OfGroup } from './groups.js'

export interface StatefulRoutesDeps {
  reads: Reads
  readPage: ReadPage
  readPlacePage: ReadPlacePage
  /** The number of partitions of the database. */
  partitions: number
}

const ofOne = { validatorCompiler: strictly, config: { problems: ['group-not-found'] } } as const

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

/** A kind of groups with state: the schema of one with what a tenant has in it, and how to describe it. */
interface Kind {
  kind: StatefulKind
  Summary: TSchema
  describe: (group: StatefulGroup) => object
}

/** The routes that windows and joins share: the list, one, and the events of a tenant that came too late. */
export function statefulRoutes(
  app: FastifyInstance,
  { kind, Summary, describe }: Kind,
  deps: StatefulRoutesDeps,
): void {
  const { reads, readPage } = deps
  const tags = [`${kind}s`]

  const listSchema = {
    summary: `List the ${kind}s`,
    description:
      'In pages, the newest first. They are defined in code and read the events of all tenants; the counts are those of the tenant that asks.',
    tags,
    querystring: Type.Object(PageQuery, { additionalProperties: false }),
    response: { 200: Type.Object({ items: Type.Array(Summary), next: NextPage }) },
  }
  app.get<{ Querystring: SentPage }>(
    `/v1/${kind}s`,
    { schema: listSchema, validatorCompiler: strictly },
    async ({ access: { tenantId }, query }) => {
      const page = readPage(`${kind}s`, tenantId, query)
      const groups = await reads.of(tenantId)((db) => listStateful(db, { kind, tenantId }, page))
      return describePage(page, groups, ({ groupId }) => groupId, describe)
    },
  )

  const oneSchema = { summary: `One ${kind}`, tags, params: GroupName, response: { 200: Summary } }
  app.get<OfGroup>(
    `/v1/${kind}s/:name`,
    { schema: oneSchema, ...ofOne },
    ({ access: { tenantId }, params: { name } }) =>
      reads.of(tenantId)(async (db) =>
        describe(foundGroup(await findStateful(db, { kind, name, tenantId }), name, kind)),
      ),
  )

  type Query = Pick<SentFilter, 'type' | 'key' | 'from' | 'to'> & SentPage
  app.get<OfGroup & { Querystring: Query }>(
    `/v1/${kind}s/:name/late`,
    { schema: lateSchema(kind), ...ofOne },
    ({ access: { tenantId }, params: { name }, query: { limit, cursor, ...sent } }) => {
      const filter = readFilter(sent)
      return reads.of(tenantId)(async (db) => {
        const group = foundGroup(await findRowOfKind(db, kind, name), name, kind)
        const page = readPage(`late events of group ${group.groupId}`, tenantId, { limit, cursor })
        const rows = await listLateEvents(db, { group, tenantId }, filter, page)
        return describePage(page, rows, ({ seq }) => seq, describeLateEvent)
      })
    },
  )
}

type SentRows = Pick<SentFilter, 'key' | 'from' | 'to'> & { side?: 'left' | 'right' } & SentPage

/** A list of what a tenant has in a window or a join, in the order of several values. */
interface RowsRoute<Filter> {
  kind: StatefulKind
  /** The last part of its path. */
  name: string
  schema: { summary: string; description: string; querystring: TSchema; response: object }
  filterOf: (sent: SentRows, tenantId: string) => Filter
  list: (db: Db, of: StatefulRows, filter: Filter, page: PlacePage) => Promise<PlacedRows>
  describe: (row: PlacedRows['rows'][number]) => object
}

/** The route of such a list. */
export function rowsRoute<Filter>(
  app: FastifyInstance,
  { kind, name: what, schema, filterOf, list, describe }: RowsRoute<Filter>,
  { reads, readPlacePage }: StatefulRoutesDeps,
): void {
  app.get<OfGroup & { Querystring: SentRows }>(
    `/v1/${kind}s/:name/${what}`,
    { schema: { ...schema, tags: [`${kind}s`], params: GroupName }, serializerCompiler: asItIs, ...ofOne },
    ({ access: { tenantId }, params: { name }, query: { limit, cursor, ...sent } }) => {
      const filter = filterOf(sent, tenantId)
      return reads.of(tenantId)(async (db) => {
        const group = foundGroup(await findRowOfKind(db, kind, name), name, kind)
        const page = readPlacePage(`${what} of group ${group.groupId}`, tenantId, { limit, cursor })
        const { rows, next } = await list(db, { group, tenantId }, filter, page)
        return { items: rows.map(describe), next: page.next(next) }
      })
    },
  )
}

/** The filter of what is in the partition of its key: by key and side. */
export const keyFilter =
  ({ partitions }: StatefulRoutesDeps) =>
  ({ key, side }: SentRows, tenantId: string) => ({
    ...(key !== undefined && { key, partition: partitionOf(tenantId, key, partitions) }),
    ...(side && { side }),
  })

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
