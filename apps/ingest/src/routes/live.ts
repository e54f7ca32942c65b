/** The pipeline live: server-sent events, one a second, with the last hour at first. */
import { PassThrough } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { type Collector, type Moment, SERIES } from '../live/collector.js'
import { RequestError } from '../problem.js'
import { asItIs } from '../reply.js'

/** So many may watch at once; it costs as much as what they are sent. */
const MAX_VIEWERS = 100

/** A viewer who is so far behind, in bytes, is let go; it may come back. */
const MAX_BEHIND = 1_000_000

export function liveRoutes(app: FastifyInstance, { collector }: { collector: Collector }): void {
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

  app.get(
    '/v1/live',
    { schema: liveSchema, serializerCompiler: asItIs, logLevel: 'silent', config: { problems: ['overloaded'] } },
    async (request, reply) => {
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
    },
  )
}

const eventOf = (name: 'history' | 'moment', data: object | Moment) =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

/** Four digits are enough to draw. */
const short = (value: number | null) => (value === null ? null : Number(value.toPrecision(4)))

const liveSchema = {
  summary: 'The pipeline live',
  description:
    'As `text/event-stream`: first `history`, the last hour as this process has seen it, then a `moment` each second: rates, latencies, backlog, workers, partitions, and what is wrong, in words. Otherwise the latest moment as JSON. Latencies are told as well as the buckets of the metrics can tell.',
  tags: ['operation'],
  response: {
    200: {
      content: {
        'application/json': { schema: Type.Object({}, { additionalProperties: true }) },
        'text/event-stream': { schema: Type.String() },
      },
    },
  },
}
