/** Routes of dead letters: lists, groups, single ones. */
import {
  type DbOf,
  DEAD_LETTER_STATUSES,
  type DeadLetterStatus,
  findDeadLetter,
  groupDeadLetters,
  listDeadLetters,
  type Reads,
} from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeDeadLetter, describeWholeDeadLetter } from '../answers/describe-dead-letter.js'
import { ErrorClass, filterTexts, readFilter, type SentFilter } from '../answers/filter.js'
import { describeAbsence, findEventId, Source } from '../http/event-name.js'
import { describePage, NextPage, PageQuery, type ReadPage, type SentPage } from '../http/paging.js'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'

interface ListQuery extends Omit<SentFilter, 'ids'>, SentPage {
  status?: DeadLetterStatus | 'all'
  group?: 'true'
}

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
  app.get<{ Querystring: ListQuery }>(
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
      const named = { tenantId, id, source }
      const db = dbOf(tenantId)
      const eventId = await findEventId(db, named)
      const row = eventId && (await findDeadLetter(db, tenantId, eventId))
      if (!row) throw new RequestError('dead-letter-not-found', describeAbsence(named, 'has failed'))
      return describeWholeDeadLetter(row)
    },
  )
}

const shared = {
  id: Type.String({ format: 'uuid' }),
  type: Type.String(),
  partitionkey: Type.String(),
  correlationid: Type.String(),
  status: Type.String({ description: 'open, replaying, replayed or discarded' }),
  attempts: Type.Integer({ description: 'Since it was accepted or replayed' }),
  accepted_at: Moment,
  failed_at: Moment,
  resolved_at: Type.Optional(Moment),
  resolved_by: Type.Optional(Type.String({ description: 'Who replayed or discarded it' })),
  reason: Type.Optional(Type.String()),
}

const failure = {
  failure_type: Type.String({ description: 'permanent or transient' }),
  error_class: Type.String(),
  message: Type.String(),
  component: Type.String(),
}

const listSchema = {
  summary: 'List dead letters',
  description:
    'In pages, the last accepted first. With `group=true`: the number of each type and error class, the most frequent first. `limit` then bounds the groups (the default is 1000), and `more` says whether there are further ones.',
  tags: ['dead letters'],
  querystring: Type.Object(
    {
      status: Type.Optional(
        Type.Union(
          [...DEAD_LETTER_STATUSES, 'all'].map((status) => Type.Literal(status)),
          { description: 'The default is open' },
        ),
      ),
      ...filterTexts('Failed'),
      error_class: ErrorClass,
      group: Type.Optional(Type.Literal('true')),
      ...PageQuery,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      items: Type.Optional(Type.Array(Type.Object({ ...shared, failure: Type.Object(failure) }))),
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
  params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) }),
  querystring: Type.Object({ source: Source }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      ...shared,
      failure: Type.Object({
        ...failure,
        errors: Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() })),
      }),
      worker_id: Type.String(),
      partition: Type.Integer(),
      history: Type.Array(Type.Object({}, { additionalProperties: true }), {
        description:
          'Every attempt, oldest first. An entry with the number 0 marks a replay; attempts after it count from 1 again',
      }),
      data: Type.Object({}, { additionalProperties: true }),
    }),
  },
}
