/** Routes of dead letters: lists, groups, single ones. */
import { type DbOf, findDeadLetter, groupDeadLetters, listDeadLetters, type Reads } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeDeadLetter } from '../answers/describe-dead-letter.js'
import { readFilter } from '../answers/filter.js'
import { describePage, NextPage, type ReadPage } from '../http/paging.js'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'
import {
  describeOne,
  failureOfAny,
  ListParameters,
  type ListQuery,
  OneId,
  OneQuery,
  ofAny,
  ofOwn,
  WholeDeadLetter,
} from './dead-letter-parts.js'

type GroupableQuery = ListQuery & { group?: 'true' }

/** The groups that are listed without a limit. */
const MAX_GROUPS = 1_000

function noPages(): RequestError {
  const message = 'cannot be combined with group: narrow the groups down by type, error_class, from or to'
  return new RequestError('invalid-query', `/cursor ${message}`, [{ pointer: '/cursor', message }])
}

export function deadLetterRoutes(
  app: FastifyInstance,
  { dbOf, reads, readPage }: { dbOf: DbOf; reads: Reads; readPage: ReadPage },
): void {
  app.get<{ Querystring: GroupableQuery }>(
    '/v1/dead-letters',
    { schema: listSchema, validatorCompiler: strictly },
    async ({ access, query: { status = 'open', group, limit, cursor, ...filter } }) => {
      const read = reads.of(access.tenantId)
      const query = {
        tenantId: access.tenantId,
        filter: readFilter(filter),
        ...(status !== 'all' && { status }),
      }
      if (group) {
        if (cursor !== undefined) throw noPages()
        return read((db) => groupDeadLetters(db, query, Number(limit ?? MAX_GROUPS)))
      }
      const page = readPage('dead letters', access.tenantId, { limit, cursor })
      const rows = await read((db) => listDeadLetters(db, query, page))
      return describePage(page, rows, ({ seq }) => seq, describeDeadLetter)
    },
  )

  app.get<{ Params: { id: string }; Querystring: { source?: string } }>(
    '/v1/dead-letters/:id',
    { schema: oneSchema, validatorCompiler: strictly, config: { problems: ['dead-letter-not-found'] } },
    async ({ access: { tenantId }, params: { id }, query: { source } }) => {
      const db = dbOf(tenantId)
      return describeOne(db, { tenantId, id, source }, (eventId) => findDeadLetter(db, tenantId, eventId))
    },
  )
}

const listSchema = {
  summary: 'List dead letters',
  description:
    'In pages, the last accepted first. With `group=true`: the number of each type and error class, the most frequent first. `limit` then bounds the groups (the default is 1000), and `more` says whether there are further ones.',
  tags: ['dead letters'],
  querystring: Type.Object(
    {
      ...ListParameters,
      group: Type.Optional(Type.Literal('true')),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      items: Type.Optional(
        Type.Array(
          Type.Object({ ...ofOwn, ...ofAny, failure: Type.Object({ ...failureOfAny, message: Type.String() }) }),
        ),
      ),
      next: Type.Optional(NextPage),
      more: Type.Optional(Type.Boolean({ description: 'There are more groups' })),
      groups: Type.Optional(
        Type.Array(
          Type.Object({
            type: Type.String(),
            error_class: Type.String(),
            count: Type.Integer(),
            first_seen: Moment,
            last_seen: Moment,
            trend: Type.Array(Type.Integer(), {
              description: 'The number of failures in equal intervals between the first and the last that match',
            }),
          }),
        ),
      ),
    }),
  },
}

const oneSchema = {
  summary: 'One dead letter, with its history',
  tags: ['dead letters'],
  params: Type.Object({ id: OneId }),
  querystring: OneQuery,
  response: { 200: WholeDeadLetter },
}
