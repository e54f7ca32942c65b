/** Routes of consumer groups: lists, lag, pausing, resuming, resetting, deleting. */
import { setTimeout as delay } from 'node:timers/promises'
import { readTime } from '@eventflow/core'
import {
  type Db,
  type DbOf,
  deleteConsumerGroup,
  findGroup,
  findGroupRow,
  type GroupRow,
  listGroups,
  OPERATOR_TENANT,
  pauseConsumerGroup,
  type Reads,
  type ResetTarget,
  rehearseReset,
  resetConsumerGroup,
  resumeConsumerGroup,
} from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { describeGroup, describeResetSteps, describeWholeGroup } from '../answers/describe-group.js'
import { describePage, NextPage, PageQuery, type ReadPage, type SentPage } from '../http/paging.js'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'
import {
  deleteSchema,
  Group,
  GroupName,
  pauseSchema,
  resetSchema,
  resumeSchema,
  type SentReset,
  WholeGroup,
} from './group-schemas.js'

/** Fewer than of other lists: the lag of each group is counted. */
const Limit = Type.Optional(Type.String({ pattern: '^([1-9]\\d?|100)$', description: '1 to 100; the default is 50' }))

/** How long the answer to a reset waits for a worker, and how often it looks, in milliseconds. */
const RESET_WAIT_MS = 3_000
const LOOK_EVERY_MS = 100

/** A request about one group. */
export type OfGroup = { Params: { name: string } }

export interface GroupRoutesDeps {
  dbOf: DbOf
  reads: Reads
  readPage: ReadPage
}

/** Returns what a route found. Throws RequestError if it found no group. */
export function foundGroup<Found>(found: Found | undefined, name: string, kind = 'consumer group'): Found {
  if (found === undefined) throw new RequestError('group-not-found', `There is no ${kind} ${name}`)
  return found
}

/** Who changes which group. */
const changeOf = (request: FastifyRequest<OfGroup>) => ({
  ...{ tenantId: request.access.tenantId, name: request.params.name, by: operatorOf(request) },
})

export function groupRoutes(app: FastifyInstance, { dbOf, reads, readPage }: GroupRoutesDeps): void {
  const problems = ['group-not-found', 'group-conflict'] as const
  const changing = { validatorCompiler: strictly, config: { problems } }

  app.get<{ Querystring: SentPage }>(
    '/v1/groups',
    { schema: listSchema, validatorCompiler: strictly },
    async ({ access: { tenantId }, query }) => {
      const page = readPage('groups', tenantId, query)
      const groups = await reads.of(tenantId)((db) => listGroups(db, tenantId, page))
      return describePage(page, groups, ({ groupId }) => groupId, describeGroup)
    },
  )

  app.get<OfGroup>(
    '/v1/groups/:name',
    { schema: oneSchema, validatorCompiler: strictly, config: { problems: ['group-not-found'] } },
    async ({ access: { tenantId }, params: { name } }) =>
      describeWholeGroup(foundGroup(await findGroup(dbOf(tenantId), { tenantId, name }), name)),
  )

  app.post<OfGroup & { Body: { reason: string } }>(
    '/v1/groups/:name/pause',
    { schema: pauseSchema, ...changing },
    async (request) => {
      const { name, tenantId, ...change } = changeOf(request)
      const { reason } = request.body
      foundGroup(await pauseConsumerGroup(dbOf(tenantId), { name, tenantId, ...change, reason }), name)
      return { name, status: 'paused' }
    },
  )

  app.post<OfGroup & { Body: { skip_lost?: boolean } }>(
    '/v1/groups/:name/resume',
    { schema: resumeSchema, ...changing },
    async (request) => {
      const change = changeOf(request)
      const skipLost = request.body.skip_lost ?? false
      const skipped = await resumeConsumerGroup(dbOf(change.tenantId), { ...change, skipLost })
      return { name: change.name, status: 'running', skipped_partitions: foundGroup(skipped, change.name) }
    },
  )

  app.delete<OfGroup>('/v1/groups/:name', { schema: deleteSchema, ...changing }, async (request) => {
    const change = changeOf(request)
    foundGroup(await deleteConsumerGroup(dbOf(change.tenantId), change), change.name)
    return { name: change.name, status: 'deleted' }
  })

  app.post<OfGroup & { Body: SentReset }>(
    '/v1/groups/:name/reset',
    { schema: resetSchema, ...changing },
    async (request, reply) => {
      const change = changeOf(request)
      const { tenantId, name } = change
      const target = readTarget(tenantId, request.body)
      if (request.body.dry_run) {
        const steps = await reads.of(tenantId)((db) => rehearseReset(db, change, target))
        return { name, status: 'dry-run', ...describeResetSteps(tenantId, foundGroup(steps, name)) }
      }
      const db = dbOf(tenantId)
      const asked = foundGroup(await resetConsumerGroup(db, { ...change, ...target }), name)
      return { name, status: await outcomeOf(db, asked, request, reply) }
    },
  )
}

/** Reads where a group is to begin again. Throws RequestError if that is not a place for this tenant. */
function readTarget(tenantId: string, { to, emit }: SentReset): ResetTarget {
  const emitNew = emit === 'new'
  if (typeof to === 'string') return { to: to === 'earliest' ? to : 'latest', emitNew }
  const refuse = (pointer: string, message: string) =>
    new RequestError('invalid-query', `${pointer} ${message}`, [{ pointer, message }])
  if (to.position !== undefined) {
    if (tenantId === OPERATOR_TENANT) return { to: { position: to.position }, emitNew }
    throw refuse('/to/position', `is only for keys of the tenant ${OPERATOR_TENANT}: use earliest, latest or a time`)
  }
  const { time, fault } = readTime(to.time!)
  if (time === undefined) throw refuse('/to/time', fault)
  if (Date.parse(time) > Date.now()) throw refuse('/to/time', 'lies in the future: use latest for the end of the log')
  return { to: { time }, emitNew }
}

/**
 * Waits some seconds for a worker to perform a reset. Returns its status, and sets that of the answer. Throws
 * RequestError if it has failed.
 */
async function outcomeOf(
  db: Db,
  asked: GroupRow,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<'done' | 'pending'> {
  const { name, resetAt } = asked
  const deadline = performance.now() + RESET_WAIT_MS
  for (let group = asked; group.resetTo !== null; ) {
    if (performance.now() > deadline || request.raw.socket.destroyed) {
      reply.code(202).header('location', `/v1/groups/${encodeURIComponent(name)}`)
      return 'pending'
    }
    await delay(LOOK_EVERY_MS)
    group = foundGroup(await findGroupRow(db, asked), name)
    if (group.resetAt?.getTime() !== resetAt!.getTime()) {
      throw new RequestError('group-conflict', `A later reset of the group ${name} has replaced this one`)
    }
    if (group.resetTo === null && group.resetError !== null) {
      const message = `The reset function of the group ${name} failed, and nothing has changed: ${group.resetError}`
      throw new RequestError('group-conflict', message)
    }
  }
  return 'done'
}

const listSchema = {
  summary: 'List the consumer groups',
  description: 'In pages, the newest first. Those that are defined in code belong to the operator’s tenant.',
  tags: ['groups'],
  querystring: Type.Object({ ...PageQuery, limit: Limit }, { additionalProperties: false }),
  response: { 200: Type.Object({ items: Type.Array(Group), next: NextPage }) },
}

const oneSchema = {
  summary: 'One consumer group, with its partitions',
  tags: ['groups'],
  params: GroupName,
  response: { 200: WholeGroup },
}
