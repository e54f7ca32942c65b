/** How bodies are read: JSON in UTF-8, by content type, and each content type only on the routes that support it. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Flawed, itemsOf, parseExactly } from './exact-json.js'
import { inSlices, stepByStep } from './in-slices.js'
import { readMediaType } from './media-type.js'
import { RequestError, takenBy } from './problem.js'
import { createReceiver } from './receive.js'

/**
 * The key under which a request keeps its answer. (A WeakMap of all requests would double the cost of garbage
 * collection.)
 */
const ANSWER = Symbol('answer')

interface Answered extends IncomingMessage {
  [ANSWER]?: ServerResponse
}

/** The quota of a tenant, against which bodies count. */
export interface BodyQuota {
  /** Throws if the quota of the request's tenant is used up. */
  require(request: FastifyRequest): void
  /** Counts what a request has sent: events and inflated bytes. */
  spend(request: FastifyRequest, sent: { events: number; bytes: number }): void
}

export interface BodyLimits {
  /** The most bytes of a batch, both as received and inflated. */
  bodyLimit: number
  /** The most bytes of an event's data, as compact JSON. */
  eventLimit: number
  /** The most bytes of all bodies that are being received. */
  totalLimit: number
  /** The slowest rate at which a body may arrive, in bytes a second; 0 allows any. */
  leastRate: number
  /** The most events in a batch; a larger batch is not parsed. */
  batchLimit: number
}

interface BodyType {
  type: string
  /** The only route that accepts it; all routes if undefined. */
  route?: string
  /** Parses the body of a batch. */
  readMany: (text: string, tenantId: string) => unknown
}

const BATCH = '/v1/events/batch'

/**
 * The text of an event may be this many times as long as its data, for spaces and escapes, plus this much for its
 * attributes.
 */
const TEXT_PER_DATA = 2
const TEXT_BESIDE_DATA = 65_536

/** A list of up to this many characters is parsed as a whole, in a few milliseconds. */
const SHORT = 262_144

/** Replaces Fastify's parsers, which accept text/plain and silently replace invalid UTF-8. */
export function readBodies(app: FastifyInstance, quota: BodyQuota, limits: BodyLimits): void {
  const { batchLimit, bodyLimit, eventLimit } = limits
  const { receive } = createReceiver(limits)
  app.server.prependListener('request', (request: Answered, response) => {
    request[ANSWER] = response
  })
  const textLimit = Math.min(bodyLimit, TEXT_PER_DATA * eventLimit + TEXT_BESIDE_DATA)
  const readList = (text: string, tenantId: string) => readItems(text, tenantId, { batchLimit, textLimit })
  const readNdjson = (text: string, tenantId: string) => readLines(text, tenantId, { batchLimit, textLimit })
  const types: BodyType[] = [
    { type: 'application/json', readMany: readList },
    { type: 'application/x-ndjson', route: BATCH, readMany: readNdjson },
    { type: 'application/cloudevents+json', route: '/v1/events', readMany: readList },
    { type: 'application/cloudevents-batch+json', route: BATCH, readMany: readList },
  ]
  const fits = ({ route }: BodyType, url: string | undefined) => route === undefined || route === url
  const unsupported = (request: FastifyRequest) => {
    const names = request.routeOptions.config.takes!.join(', ')
    return new RequestError(
      'unsupported-media-type',
      `This route accepts ${names}, in UTF-8`,
      undefined,
      takenBy(request),
    )
  }
  app.addHook('onRoute', (route) => {
    const takes = types.filter((type) => fits(type, route.url)).map(({ type }) => type)
    route.config = { ...route.config, takes }
  })

  /**
   * Reads the body of a request. On routes for events it counts against the quota as far as it has been received, even
   * if it is refused: as one event, or for a complete batch by the events in it, which are counted once they are
   * separated.
   */
  async function read(request: FastifyRequest, payload: IncomingMessage, limit: number): Promise<Buffer> {
    const { tenantId } = request.access
    const exchange = { request: payload, response: (request.raw as Answered)[ANSWER]! }
    if (request.routeOptions.config.scope !== 'ingest') return receive(exchange, tenantId, limit, () => {})
    let [events, bytes] = [1, 0]
    const count = (received: number) => {
      bytes = received
      // Concurrent requests may have used it up.
      quota.require(request)
    }
    quota.require(request)
    try {
      const body = await receive(exchange, tenantId, limit, count)
      if (request.routeOptions.url === BATCH) events = 0
      return body
    } finally {
      quota.spend(request, { events, bytes })
    }
  }

  /** Parses the events of a batch. A batch that cannot be separated counts as one event. */
  async function readBatch(request: FastifyRequest, { readMany }: BodyType, body: Buffer): Promise<unknown> {
    try {
      return await readMany(textOf(body), request.access.tenantId)
    } catch (error) {
      quota.spend(request, { events: 1, bytes: 0 })
      throw error
    }
  }

  app.removeAllContentTypeParsers()
  for (const type of types) {
    app.addContentTypeParser(type.type, async (request: FastifyRequest, payload: IncomingMessage) => {
      if (request.is404) return undefined
      const { isUtf8: saysUtf8 = false } = readMediaType(request.headers['content-type']!) ?? {}
      if (!fits(type, request.routeOptions.url) || !saysUtf8) throw unsupported(request)
      const isBatch = request.routeOptions.url === BATCH
      const body = await read(request, payload, isBatch ? bodyLimit : textLimit)
      return isBatch ? readBatch(request, type, body) : readJson(textOf(body))
    })
  }
  app.addContentTypeParser('*', async (request: FastifyRequest) => {
    if (!request.is404) throw unsupported(request)
  })
}

function textOf(body: Buffer): string {
  if (!isUtf8(body)) throw new RequestError('malformed-body', 'The body is not valid UTF-8')
  return body.toString()
}

function readJson(text: string): unknown {
  try {
    return parseExactly(text)
  } catch (error) {
    throw new RequestError('malformed-body', `The body is not valid JSON: ${(error as SyntaxError).message}`)
  }
}

interface ManyLimits {
  batchLimit: number
  /** The most characters of an item. */
  textLimit: number
}

/** Parses each item of a list. A short list is parsed as a whole, which is cheaper, unless it is too deeply nested. */
async function readItems(text: string, tenantId: string, { batchLimit, textLimit }: ManyLimits): Promise<unknown> {
  if (text.length <= SHORT) {
    const value = readJson(text)
    if (!(value instanceof Flawed)) return value
  }
  const items = await stepByStep(tenantId, itemsOf(text, batchLimit))
  if (!items) throw new RequestError('malformed-body', 'The body must be a JSON array of events, or NDJSON')
  if (items.length > batchLimit) return items
  return inSlices(tenantId, items, (item) => (item.length > textLimit ? tooLarge(textLimit) : readJson(item)))
}

/** Parses each line. A line that is not JSON is rejected as an item and does not affect the others. */
async function readLines(text: string, tenantId: string, { batchLimit, textLimit }: ManyLimits): Promise<unknown[]> {
  const lines = linesOf(text, batchLimit)
  if (lines.length > batchLimit) return lines
  return inSlices(tenantId, lines, (line) => (line.length > textLimit ? tooLarge(textLimit) : readLine(line)))
}

/** Returns the lines that are not blank. Stops if there are more than `limit`. */
function linesOf(text: string, limit: number): string[] {
  const lines: string[] = []
  // White space of JSON (RFC 8259). The search skips millions of blank lines in milliseconds.
  const begin = /[^ \t\r\n]/g
  while (lines.length <= limit) {
    const start = begin.exec(text)?.index
    if (start === undefined) break
    const end = text.indexOf('\n', start)
    lines.push(text.slice(start, end < 0 ? undefined : end))
    if (end < 0) break
    begin.lastIndex = end
  }
  return lines
}

const tooLarge = (limit: number) =>
  new Flawed([{ pointer: '', message: `has more than ${limit} characters` }], { tooLarge: true })

function readLine(line: string): unknown {
  try {
    return parseExactly(line)
  } catch (error) {
    return new Flawed([{ pointer: '', message: `is not valid JSON: ${(error as SyntaxError).message}` }])
  }
}
