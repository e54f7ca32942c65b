/** Watching the pipeline live: server-sent events, one a second, beginning with the last hour. */
import { PassThrough } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { problemBody, RequestError } from '../http/problem.js'
import { asItIs } from '../http/reply.js'
import type { Collector } from '../live/collector.js'
import { SERIES, type Snapshot } from '../live/snapshot.js'

/** The most viewers: the cost is what is sent to them. */
const MAX_VIEWERS = 100

/** The most viewers with one key. */
const MAX_OF_KEY = 25

/** A viewer that is this many bytes behind is disconnected; it may reconnect. */
const MAX_BEHIND = 1_000_000

interface Viewer {
  stream: PassThrough
  request: FastifyRequest
  checking: boolean
}

export function liveRoutes(app: FastifyInstance, { collector }: { collector: Collector }): void {
  const viewers = new Set<Viewer>()
  // Serialized once for all viewers.
  const stopFollowing = collector.follow((snapshot) => {
    if (viewers.size === 0) return
    const text = eventOf('moment', snapshot)
    for (const viewer of viewers) {
      const { stream, request } = viewer
      // The request was queued on a connection that has ended meanwhile.
      if (request.raw.socket.destroyed) stream.destroy()
      if (!viewer.checking) void letGoWhenEnded(viewer)
      if (stream.writable && !stream.write(text) && stream.writableLength > MAX_BEHIND) stream.destroy()
    }
  })
  app.addHook('preClose', async () => {
    stopFollowing()
    for (const { stream } of viewers) stream.end()
  })

  /**
   * Ends the stream of a viewer whose key has ended, with the reason. While Postgres is away, a key counts as before.
   */
  async function letGoWhenEnded(viewer: Viewer): Promise<void> {
    const { request, stream } = viewer
    viewer.checking = true
    const refused = await app.stillAllowed(request).catch((error) => error)
    viewer.checking = false
    const isOver = refused instanceof RequestError || (request.access.endsAt ?? Infinity) <= Date.now()
    if (!isOver || !stream.writable) return
    const { code, message } = refused instanceof RequestError ? refused : ENDED
    stream.end(eventOf('end', problemBody(code, message)))
  }

  /** Occupies a place until the stream has ended. */
  function addViewer(request: FastifyRequest): PassThrough {
    const { keyId } = request.access
    const ofKey = [...viewers].filter((other) => keyId !== undefined && other.request.access.keyId === keyId)
    if (viewers.size >= MAX_VIEWERS) throw new RequestError('overloaded', `${MAX_VIEWERS} clients are watching already`)
    if (ofKey.length >= MAX_OF_KEY)
      throw new RequestError('overloaded', `${MAX_OF_KEY} clients are watching with this key already`)
    const viewer = { stream: new PassThrough(), request, checking: false }
    const { stream } = viewer
    // The client left while its key was looked up.
    if (request.raw.socket.destroyed) return stream.end()
    viewers.add(viewer)
    stream.once('close', () => viewers.delete(viewer))
    const points = collector.history().map(({ at, values }) => [at, ...values.map(short)])
    stream.write(eventOf('history', { series: SERIES, points }))
    const latest = collector.latest()
    if (latest) stream.write(eventOf('moment', latest))
    return stream
  }

  app.get(
    '/v1/live',
    { schema: liveSchema, serializerCompiler: asItIs, logLevel: 'silent', config: { problems: ['overloaded'] } },
    async (request, reply) => {
      if (!`${request.headers.accept}`.includes('text/event-stream')) return collector.latest() ?? {}
      const stream = request.method === 'HEAD' ? new PassThrough().end() : addViewer(request)
      return reply.header('x-accel-buffering', 'no').type('text/event-stream').send(stream)
    },
  )
}

const ENDED = new RequestError('unauthorized', 'The API key has expired')

const eventOf = (name: 'history' | 'moment' | 'end', data: object | Snapshot) =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

/** Four digits are enough for charts. */
const short = (value: number | null) => (value === null ? null : Number(value.toPrecision(4)))

const liveSchema = {
  summary: 'Watch the pipeline live',
  description:
    'As `text/event-stream`: first `history`, the last hour as this process has seen it; then a `moment` each second with rates, latencies, backlog, workers, partitions, and descriptions of current problems. When the key expires or is revoked, the stream ends within seconds, with `end` and a problem. Without `text/event-stream`: the latest moment as JSON. Latencies are as exact as the buckets of the metrics.',
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
