/** The route that reads the log: the tenant's processed events in the order in which they were processed. */
import {
  type DbOf,
  DefinedInCodeError,
  type ExternalGroup,
  type GroupName,
  type LogPage,
  type LogPlace,
  LogRemovedError,
  type Reads,
  readExternalGroup,
  readLogBeginning,
  readOwnLog,
} from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeLogEntry } from '../answers/describe-log.js'
import {
  checkStart,
  From,
  invalid,
  isStart,
  readCursor,
  readPosition,
  readStart,
  readTokens,
} from '../http/log-places.js'
import { type LogTokens, MAX_CURSOR_LENGTH } from '../http/log-tokens.js'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'
import { millisecondsOf, Wait } from '../http/wait.js'
import type { LogWatch } from '../live/log-watch.js'
import { attributes } from './event-schemas.js'

interface LogQuery {
  type?: string | string[]
  from?: string
  group?: string
  partition?: string
  limit?: string
  wait?: string
}

export interface LogRoutesDeps {
  dbOf: DbOf
  reads: Reads
  watch: LogWatch
  /** The number of partitions of the database. */
  partitions: number
}

const DEFAULT_LIMIT = 100

/** The most bytes of data in a page, unless its first event has more. */
const PAGE_BYTES = 1_048_576

/** How long a request goes on without an event of its tenant, in milliseconds. */
const BUDGET_MS = 1_000

export function logRoutes(app: FastifyInstance, { dbOf, reads, watch, partitions }: LogRoutesDeps): void {
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  app.addHook('preClose', async () => watch.stop())

  /** Resolves with the places of a request, in the order of the partitions. Throws RequestError if they are wrong. */
  async function findPlaces(tenantId: string, query: LogQuery, tokens: LogTokens): Promise<LogPlace[]> {
    const { from = 'earliest', group, partition } = query
    const db = dbOf(tenantId)
    const only = partition === undefined ? undefined : Number(partition)
    if (only !== undefined && only >= partitions) throw invalid('/partition', `is not below ${partitions}`)
    if (group !== undefined) {
      if (query.from !== undefined) throw invalid('/from', 'cannot be combined with group, which has its own positions')
      return narrowed((await findReadingGroup(db, { tenantId, name: group })).places, only, '/group')
    }
    if (isStart(from)) return readStart(db, checkStart(from, '/from'), only === undefined ? all : [only])
    if (from.startsWith('p')) {
      if (only === undefined) throw invalid('/from', 'is the position of an event: it needs its partition as well')
      return [readPosition(tokens, tenantId, { partition: only, token: from }, '/from')]
    }
    return narrowed(readCursor(tokens, tenantId, from, '/from'), only, '/from')
  }

  /** Reads until there is something, there is no more, or the time is up. */
  async function readPage(tenantId: string, places: readonly LogPlace[], query: LogQuery): Promise<Page> {
    const { type, limit = `${DEFAULT_LIMIT}` } = query
    const limits = { types: type === undefined ? undefined : [type].flat(), limit: Number(limit), bytes: PAGE_BYTES }
    const deadline = performance.now() + BUDGET_MS
    // The partition that is furthest behind comes first, so that none is left behind.
    let next = places.toSorted((a, b) => a.after - b.after)
    for (;;) {
      const pages = await reads
        .of(tenantId)((db) => readOwnLog(db, tenantId, next, limits))
        .catch(answerRemoved)
      next = next.map(({ partition }, i) => ({ partition, after: pages[i]!.reached }))
      const entries = pages.flatMap((page) => page.entries)
      const more = pages.some((page) => page.more)
      if (entries.length > 0 || !more || performance.now() > deadline) {
        return { entries, more, places: next.toSorted((a, b) => a.partition - b.partition) }
      }
    }
  }

  app.get<{ Querystring: LogQuery }>(
    '/v1/log',
    {
      schema,
      validatorCompiler: strictly,
      config: { problems: ['group-not-found', 'group-conflict', 'log-removed'] },
    },
    async (request, reply) => {
      const { query } = request
      const { tenantId } = request.access
      const tokens = await readTokens(dbOf(tenantId))
      let page = await readPage(tenantId, await findPlaces(tenantId, query, tokens), query)
      const end = performance.now() + millisecondsOf(query.wait ?? '0ms')
      const left = new Promise<void>((resolve) => reply.raw.once('close', resolve))
      while (page.entries.length === 0 && !page.more) {
        const ms = end - performance.now()
        const types = query.type === undefined ? undefined : [query.type].flat()
        if (ms <= 0 || !(await watch.untilNew({ tenantId, types, places: page.places }, ms, left))) break
        await app.stillAllowed(request)
        page = await readPage(tenantId, page.places, query)
      }
      const beginning = await findBeginning(query)
      reply.type('application/json; charset=utf-8')
      return textOf(page, tokens, tenantId, beginning)
    },
  )

  /** If the request begins before the log does: when the log begins. */
  async function findBeginning({ from = 'earliest', group }: LogQuery): Promise<Date | undefined> {
    if (group !== undefined || from === 'latest' || !isStart(from)) return undefined
    const beginning = await reads.own(readLogBeginning)
    return from === 'earliest' || (beginning && beginning > new Date(from)) ? beginning : undefined
  }
}

interface Page extends Pick<LogPage, 'entries' | 'more'> {
  places: LogPlace[]
}

/** Resolves with a group that may be read as one. Throws RequestError if there is none, or if it is paused. */
async function findReadingGroup(db: ReturnType<DbOf>, group: GroupName): Promise<ExternalGroup> {
  const found = await readExternalGroup(db, group).catch(answerDefined(group.name))
  if (!found) throw missingGroup(group.name)
  if (found.pausedFor !== null) {
    throw new RequestError('group-conflict', `The group ${group.name} is paused: ${found.pausedFor}`)
  }
  return found
}

/** The error of a request for a group that there is not. */
export const missingGroup = (name: string) =>
  new RequestError(
    'group-not-found',
    `There is no group ${name}. PUT /v1/groups/${name}/positions with \`from\` creates it`,
  )

/** Turns the error of the database into that of the request. */
export function answerDefined(name: string) {
  return (error: unknown): never => {
    if (!(error instanceof DefinedInCodeError)) throw error
    throw new RequestError('group-conflict', `The group ${name} is a consumer defined in code, which workers run`)
  }
}

function answerRemoved(error: unknown): never {
  if (!(error instanceof LogRemovedError)) throw error
  const what = `Retention has removed events of partition ${error.partition} after this position`
  throw new RequestError(
    'log-removed',
    `${what}. Continue with \`from=earliest\`; a group with PUT …/positions and {"from":"earliest","reset":true}`,
  )
}

function narrowed(places: LogPlace[], partition: number | undefined, pointer: string): LogPlace[] {
  if (partition === undefined) return places
  const place = places.find((candidate) => candidate.partition === partition)
  if (!place) throw invalid(pointer, `has no place in partition ${partition}`)
  return [place]
}

function textOf({ entries, more, places }: Page, tokens: LogTokens, tenantId: string, beginning?: Date): string {
  const items = entries.map((entry) => {
    const { partition } = entry.event
    return describeLogEntry(entry, tokens.positionOf(tenantId, { partition, after: entry.position }))
  })
  const rest = { next: tokens.cursorOf(tenantId, places), more, ...(beginning && { begins_at: beginning }) }
  return `{"items":[${items.join(',')}],${JSON.stringify(rest).slice(1)}`
}

const EventType = Type.String({ minLength: 1, maxLength: 200 })

const schema = {
  summary: 'Read the log',
  description:
    'The processed events, in the order in which they were processed: each partition in its order, one beside the other. Continue with `from` and the `next` of the answer, which is always there. A page reads for about a second: it may be empty and have `more`. Within a partition nothing ever appears before what was read. An event that is replayed keeps its place. Delivery to a program that stores `next` after its work is at least once.',
  tags: ['log'],
  querystring: Type.Object(
    {
      type: Type.Optional(
        Type.Union([EventType, Type.Array(EventType, { minItems: 1, maxItems: 100 })], {
          description: 'Only events of this type; may be repeated',
        }),
      ),
      from: From(
        '`earliest`, `latest`, a time in RFC 3339 (processed then or later), `next` of an answer, or with `partition` the `position` of an event; the default is `earliest`',
      ),
      group: Type.Optional(
        Type.String({ minLength: 1, maxLength: 100, description: 'Read on from what this group has committed' }),
      ),
      partition: Type.Optional(Type.String({ pattern: '^\\d{1,4}$', description: 'Only this partition' })),
      limit: Type.Optional(
        Type.String({ pattern: '^([1-9]\\d{0,2}|1000)$', description: `1 to 1000; the default is ${DEFAULT_LIMIT}` }),
      ),
      wait: Wait,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          ...attributes,
          position: Type.String({ description: 'Of this event in its partition' }),
          traceparent: Type.Optional(Type.String()),
          extensions: Type.Optional(Type.Object({}, { additionalProperties: true })),
          accepted_at: Moment,
          processed_at: Moment,
          data: Type.Object(
            {},
            { additionalProperties: true, description: 'The data as processed: with enrichment and defaults' },
          ),
        }),
      ),
      next: Type.String({ maxLength: MAX_CURSOR_LENGTH, description: '`from` of the next page' }),
      more: Type.Boolean({ description: 'There may be further events now' }),
      begins_at: Type.Optional(
        Type.String({
          format: 'date-time',
          description:
            'If it was asked for from an earlier time on: when the first event of the log was processed. Earlier ones were removed by retention, or processed before there was a log',
        }),
      ),
    }),
  },
}
