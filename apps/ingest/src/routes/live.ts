/** The pipeline live: server-sent events, one a second, with the last hour at first. */
import { PassThrough } from 'node:stream'
import { type Db, readWaitingKeys, type WaitingKey } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { type Collector, type Moment, SERIES } from '../live/collector.js'
import { waitingSince } from '../live/troubles.js'
import { RequestError } from '../problem.js'
import { TENANT } from '../request.js'

/** So many may watch at once; it costs as much as what they are sent. */
const MAX_VIEWERS = 100

/** A viewer who is so far behind, in bytes, is let go; it may come back. */
const MAX_BEHIND = 1_000_000

const MAX_KEYS = 100

export interface LiveRoutesDeps {
  db: Db
  collector: Collector
  unordered: readonly string[]
}

export function liveRoutes(app: FastifyInstance, { db, collector, unordered }: LiveRoutesDeps): void {
  const viewers = new Set<PassThrough>()
  // Written once for all: with a hundred viewers too a moment is made into text a single time.
  const stopFollowing = collector.follow((moment) => {
    if (viewers.size === 0) return
    const text = eventOf('moment', moment)
    for (const viewer of viewers) if (!viewer.write(text) && viewer.writableLength > MAX_BEHIND) viewer.destroy()
  })
  app.addHook('preClose', async () => {
    stopFollowing()
    for (const viewer of viewers) viewer.end()
  })

  app.get('/v1/live', { schema: liveSchema, logLevel: 'silent' }, async (request, reply) => {
    if (!`${request.headers.accept}`.includes('text/event-stream')) return collector.latest() ?? {}
    if (viewers.size >= MAX_VIEWERS) throw new RequestError('overloaded', `${MAX_VIEWERS} are watching already`)
    const viewer = new PassThrough()
    viewers.add(viewer)
    viewer.once('close', () => viewers.delete(viewer))
    viewer.write(
      eventOf('history', {
        series: SERIES,
        points: collector.history().map(({ at, values }) => [at, ...values.map(short)]),
      }),
    )
    const latest = collector.latest()
    if (latest) viewer.write(eventOf('moment', latest))
    reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no')
    return reply.type('text/event-stream').send(viewer)
  })

  app.get('/v1/waiting', { schema: waitingSchema }, async () => {
    const keys = await readWaitingKeys(db, TENANT, { unordered, limit: MAX_KEYS, countBehind: true })
    return { items: keys.map(describeWaiting) }
  })
}

const eventOf = (name: 'history' | 'moment', data: object | Moment) =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

/** Four digits are enough to draw. */
const short = (value: number | null) => (value === null ? null : Number(value.toPrecision(4)))

function describeWaiting(head: WaitingKey) {
  const { id, type, key, partition, attempts, acceptedAt, dueAt, history, behind } = head
  const last = history.at(-1)
  return {
    ...{ id, type, partitionkey: key, partition, attempts, behind },
    accepted_at: acceptedAt,
    waiting_since: new Date(waitingSince(head)),
    retry_at: dueAt,
    ...(last && { component: last.component, error_class: last.errorClass, message: last.message }),
  }
}

const liveSchema = {
  summary: 'The pipeline live',
  description:
    'As `text/event-stream`: first `history`, the last hour as this process has seen it, then a `moment` each second: rates, latencies, backlog, workers, partitions, and what is wrong, in words. Otherwise the latest moment as JSON. Latencies are told as well as the buckets of the metrics can tell.',
  tags: ['operation'],
}

const Time = Type.String({ format: 'date-time' })

const waitingSchema = {
  summary: 'Keys that wait',
  description: 'For each the event at its head, those that have waited the longest first.',
  tags: ['operation'],
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String({ format: 'uuid', description: 'Of the event at the head' }),
          type: Type.String(),
          partitionkey: Type.String(),
          partition: Type.Integer(),
          attempts: Type.Integer({ description: 'That have failed' }),
          behind: Type.Integer({
            description: 'Events of the key that wait behind it, of the next 2,000 of its partition',
          }),
          accepted_at: Time,
          waiting_since: Time,
          retry_at: Time,
          component: Type.Optional(Type.String()),
          error_class: Type.Optional(Type.String()),
          message: Type.Optional(Type.String()),
        }),
      ),
    }),
  },
}
