/** Routes of the dead letters of consumer groups. */
import {
  countGroupDeadLetters,
  type Db,
  discardGroupDeadLetters,
  findGroupDeadLetter,
  findGroupRow,
  type GroupRow,
  listGroupDeadLetters,
  replayGroupDeadLetters,
} from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describeGroupDeadLetter, describeGroupExtent } from '../answers/describe-group.js'
import { readFilter, type SentFilter } from '../answers/filter.js'
import { describePage, NextPage } from '../http/paging.js'
import { operatorOf, strictly } from '../http/request.js'
import {
  ChangeFilter,
  describeOne,
  failureOfAny,
  ListParameters,
  type ListQuery,
  OneId,
  OneQuery,
  ofAny,
  ofOwn,
  requireReason,
  WholeDeadLetter,
} from './dead-letter-parts.js'
import { GroupName } from './group-schemas.js'
import { foundGroup, type GroupRoutesDeps, type OfGroup } from './groups.js'
import { DryRun, Operator } from './operation-schemas.js'

interface SentChange {
  filter: SentFilter
  dry_run?: boolean
  reason?: string
}

export function groupDeadLetterRoutes(app: FastifyInstance, { dbOf, reads, readPage }: GroupRoutesDeps): void {
  const find = async (db: Db, { access: { tenantId }, params: { name } }: FastifyRequest<OfGroup>): Promise<GroupRow> =>
    foundGroup(await findGroupRow(db, { tenantId, name }), name)

  app.get<OfGroup & { Querystring: ListQuery }>(
    '/v1/groups/:name/dead-letters',
    { schema: listSchema, validatorCompiler: strictly, config: { problems: ['group-not-found'] } },
    (request) => {
      const { status = 'open', limit, cursor, ...sent } = request.query
      const { tenantId } = request.access
      const filter = readFilter(sent)
      return reads.of(tenantId)(async (db) => {
        const group = await find(db, request)
        const page = readPage(`dead letters of group ${group.groupId}`, tenantId, { limit, cursor })
        const rows = await listGroupDeadLetters(db, { group, filter, ...(status !== 'all' && { status }) }, page)
        return describePage(
          page,
          rows,
          ({ seq }) => seq,
          (row) => describeGroupDeadLetter(tenantId, row),
        )
      })
    },
  )

  app.get<{ Params: { name: string; id: string }; Querystring: { source?: string } }>(
    '/v1/groups/:name/dead-letters/:id',
    {
      schema: oneSchema,
      validatorCompiler: strictly,
      config: { problems: ['group-not-found', 'dead-letter-not-found'] },
    },
    async (request) => {
      const { tenantId } = request.access
      const db = dbOf(tenantId)
      const { groupId } = await find(db, request)
      const named = { tenantId, id: request.params.id, source: request.query.source }
      return describeOne(db, named, (id) => findGroupDeadLetter(db, groupId, { tenantId, id }))
    },
  )

  const change = async (action: 'replay' | 'discard', request: FastifyRequest<OfGroup & { Body: SentChange }>) => {
    const { access, params, body } = request
    const { tenantId } = access
    const { name } = params
    const filter = readFilter(body.filter, '/filter')
    if (body.dry_run) {
      return reads.of(tenantId)(async (db) => {
        const extent = await countGroupDeadLetters(db, { group: await find(db, request), filter })
        return describeGroupExtent(tenantId, extent)
      })
    }
    const asked = { tenantId, name, by: operatorOf(request), filter, reason: body.reason ?? null }
    const carryOut = action === 'replay' ? replayGroupDeadLetters : discardGroupDeadLetters
    return foundGroup(await carryOut(dbOf(tenantId), asked), name)
  }
  const problems = ['group-not-found', 'group-conflict'] as const

  app.post<OfGroup & { Body: SentChange }>(
    '/v1/groups/:name/dead-letters/replay',
    { schema: replaySchema, validatorCompiler: strictly, config: { problems } },
    (request) => change('replay', request),
  )

  app.post<OfGroup & { Body: SentChange }>(
    '/v1/groups/:name/dead-letters/discard',
    { schema: discardSchema, validatorCompiler: strictly, config: { problems } },
    (request) => {
      requireReason(request.body, 'handled')
      return change('discard', request)
    },
  )
}

const listSchema = {
  summary: 'List dead letters of a group',
  description:
    'The events that the group has failed to handle, in pages, the last accepted first. A group in code reads the events of all tenants; of other tenants’ events, the list says only which kind of failure it is.',
  tags: ['groups'],
  params: GroupName,
  querystring: Type.Object(ListParameters, { additionalProperties: false }),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          ...Type.Partial(Type.Object(ofOwn)).properties,
          ...ofAny,
          tenant: Type.Optional(Type.String({ description: 'The tenant of the event, if it is another one' })),
          failure: Type.Object({ ...failureOfAny, message: Type.Optional(Type.String()) }),
        }),
      ),
      next: NextPage,
    }),
  },
}

const oneSchema = {
  summary: 'One dead letter of a group, with its history',
  description: 'Only if its event is of the tenant that asks.',
  tags: ['groups'],
  params: Type.Object({ ...GroupName.properties, id: OneId }),
  querystring: OneQuery,
  response: { 200: WholeDeadLetter },
}

const changing = (summary: string, description: string, example: object) => ({
  summary,
  description: `${description} At most 1,000 at once: while \`more\` is true, send the request again. With \`dry_run\` they are only counted.`,
  ...{ tags: ['groups'], headers: Operator, params: GroupName },
  body: Type.Object(
    {
      filter: ChangeFilter,
      dry_run: Type.Optional(Type.Boolean({ description: 'Only count the dead letters and show a few of them' })),
      reason: Type.Optional(
        Type.String({ maxLength: 500, pattern: '\\S', description: 'The reason, kept with the dead letters' }),
      ),
    },
    { additionalProperties: false, examples: [example] },
  ),
  response: {
    200: Type.Object({
      changed: Type.Optional(Type.Integer({ description: 'How many were changed' })),
      more: Type.Boolean({ description: 'There may be more that match' }),
      count: Type.Optional(Type.Integer({ description: 'How many match, up to 10,000; with dry_run' })),
      removed: Type.Optional(
        Type.Integer({
          description: 'Those among them whose events were removed from the log: they cannot be replayed',
        }),
      ),
      at: Type.Optional(Type.String({ format: 'date-time', description: 'When they were counted' })),
      samples: Type.Optional(DryRun.properties.samples),
    }),
  },
})

const replaySchema = changing(
  'Replay dead letters of a group',
  'The group handles them again, with all attempts, as soon as it can; its position does not move. A dead letter that succeeds becomes `replayed`; one that fails is `open` again.',
  { filter: { error_class: 'TransientError' }, dry_run: true },
)

const discardSchema = changing(
  'Discard dead letters of a group',
  'Marks open dead letters as never to be handled, with a reason.',
  { filter: { type: 'order.created' }, reason: 'sent by a broken test', dry_run: true },
)
