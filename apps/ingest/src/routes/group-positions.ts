/** Routes for what a consumer group of a program outside has handled: commit it, and see how far behind it is. */
import {
  type Behind,
  commitPositions,
  countOwnLog,
  type DbOf,
  type LogPlace,
  type Reads,
  readExternalGroup,
} from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { checkStart, From, invalid, readCursor, readPosition, readStart, readTokens } from '../http/log-places.js'
import { type LogTokens, MAX_CURSOR_LENGTH } from '../http/log-tokens.js'
import { operatorOf, strictly } from '../http/request.js'
import { answerDefined, missingGroup } from './log.js'

interface Named {
  name: string
}

interface Sent {
  positions?: Record<string, string>
  next?: string
  from?: string
  reset?: boolean
}

export interface GroupPositionDeps {
  dbOf: DbOf
  reads: Reads
  /** The number of partitions of the database. */
  partitions: number
}

export function groupPositionRoutes(app: FastifyInstance, { dbOf, reads, partitions }: GroupPositionDeps): void {
  const all = Array.from({ length: partitions }, (_, partition) => partition)

  app.get<{ Params: Named }>(
    '/v1/groups/:name/positions',
    { schema: readSchema, validatorCompiler: strictly, config: { problems: ['group-not-found', 'group-conflict'] } },
    async ({ access: { tenantId }, params: { name } }) => {
      const db = dbOf(tenantId)
      const tokens = await readTokens(db)
      const group = await readExternalGroup(db, { tenantId, name }).catch(answerDefined(name))
      if (!group) throw missingGroup(name)
      const behind = await reads.of(tenantId)((on) => countOwnLog(on, tenantId, group.places))
      return {
        name,
        ...(group.pausedFor !== null && { paused_for: group.pausedFor }),
        next: tokens.cursorOf(tenantId, group.places),
        partitions: group.places.map((place, i) => describeBehind(place, behind[i]!, tokens, tenantId)),
      }
    },
  )

  app.put<{ Params: Named; Body: Sent }>(
    '/v1/groups/:name/positions',
    {
      schema: commitSchema,
      validatorCompiler: strictly,
      config: { problems: ['group-not-found', 'group-conflict', 'limit-reached'] },
    },
    async (request, reply) => {
      const { name } = request.params
      const { tenantId } = request.access
      const { reset = false, from: sent } = request.body
      const from = sent === undefined ? undefined : checkStart(sent, '/from')
      const db = dbOf(tenantId)
      const tokens = await readTokens(db)
      const handled = readHandled(request.body, tokens, tenantId)
      const exists = (await readExternalGroup(db, { tenantId, name }).catch(answerDefined(name))) !== undefined
      const start = from !== undefined && (reset || !exists) ? await readStart(db, from, all) : undefined
      const by = operatorOf(request)
      const done = await commitPositions(db, { tenantId, name, handled, from: start, reset, by }).catch(
        answerDefined(name),
      )
      if (!done) throw missingGroup(name)
      if (done.created) reply.code(201)
      return { name, positions: positionsOf(done.places, tokens, tenantId) }
    },
  )

  /** Returns the places of a commit. Throws RequestError that points at what is wrong. */
  function readHandled({ positions, next, from }: Sent, tokens: LogTokens, tenantId: string): LogPlace[] {
    if (next !== undefined) {
      if (positions !== undefined) throw invalid('/positions', 'cannot be combined with next')
      return readCursor(tokens, tenantId, next, '/next')
    }
    if (positions === undefined && from === undefined) throw invalid('', 'must have positions, next or from')
    return Object.entries(positions ?? {}).map(([name, token]) => {
      const pointer = `/positions/${name}`
      const partition = Number(name)
      if (partition >= partitions) throw invalid(pointer, `is no partition: they are below ${partitions}`)
      return readPosition(tokens, tenantId, { partition, token }, pointer)
    })
  }
}

function describeBehind(place: LogPlace, behind: Behind, tokens: LogTokens, tenantId: string) {
  const { events, more, seconds, removed } = behind
  return {
    partition: place.partition,
    position: tokens.positionOf(tenantId, place),
    lag: events,
    lag_is_more: more,
    lag_seconds: seconds,
    ...(removed && { removed }),
  }
}

const positionsOf = (places: readonly LogPlace[], tokens: LogTokens, tenantId: string) =>
  Object.fromEntries(places.map((place) => [place.partition, tokens.positionOf(tenantId, place)]))

const GroupName = Type.Object({
  name: Type.String({
    pattern: '^[a-z][a-z0-9._-]{0,99}$',
    description: 'Lower-case letters, digits, `-`, `_` and `.`, beginning with a letter',
  }),
})

const Position = Type.String({ minLength: 1, maxLength: 100 })

const Next = { maxLength: MAX_CURSOR_LENGTH }

const readSchema = {
  summary: 'See how far a group has read',
  description:
    'The committed position of each partition, and the events of the tenant after it. They are counted up to a limit: with `lag_is_more` there may be further ones.',
  tags: ['log'],
  params: GroupName,
  response: {
    200: Type.Object({
      name: Type.String(),
      paused_for: Type.Optional(Type.String({ description: 'Why it is paused' })),
      next: Type.String({ ...Next, description: 'All positions, for `from` of `GET /v1/log`' }),
      partitions: Type.Array(
        Type.Object({
          partition: Type.Integer(),
          position: Position,
          lag: Type.Integer({ description: 'Events after the position' }),
          lag_is_more: Type.Boolean({ description: 'There may be further events that were not counted' }),
          lag_seconds: Type.Number({ description: 'Since the first of them was processed' }),
          removed: Type.Optional(
            Type.Boolean({ description: 'Retention has removed events after the position: the group cannot read on' }),
          ),
        }),
      ),
    }),
  },
}

const commitSchema = {
  summary: 'Commit what a group has handled',
  description:
    'All positions of the request or none. A position that is behind the committed one changes nothing, unless `reset` is true. With `from` the group is created if there is none of this name.',
  tags: ['log'],
  params: GroupName,
  body: Type.Object(
    {
      positions: Type.Optional(
        Type.Record(Type.String({ pattern: '^(0|[1-9]\\d{0,3})$' }), Position, {
          description: 'The `position` of the last handled event of each partition',
        }),
      ),
      next: Type.Optional(
        Type.String({ ...Next, minLength: 1, description: '`next` of the last page that was handled' }),
      ),
      from: From(
        'Where a new group begins, in partitions without a position: `earliest`, `latest`, or a time in RFC 3339. With `reset`, where any group goes on',
      ),
      reset: Type.Optional(Type.Boolean({ description: 'Positions may go back' })),
    },
    { additionalProperties: false, examples: [{ from: 'earliest' }] },
  ),
  response: Object.fromEntries(
    [200, 201].map((status) => [
      status,
      Type.Object(
        { name: Type.String(), positions: Type.Record(Type.String(), Position) },
        { description: status === 201 ? 'The group is new' : 'The positions as they are now' },
      ),
    ]),
  ),
}
