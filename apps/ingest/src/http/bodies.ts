/** How bodies are read: JSON in UTF-8, by content type, and each content type only where it means something. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Flawed, itemsOf, parseExactly } from './exact-json.js'
import { inSlices, stepByStep } from './in-slices.js'
import { readMediaType } from './media-type.js'
import { RequestError, takenBy } from './problem.js'
import { createReceiver } from './receive.js'

/** Where the answer to a request goes. (A WeakMap of all requests would double what the collection of garbage takes.) */
const ANSWER = Symbol('answer')

interface Answered extends IncomingMessage {
  [ANSWER]?: ServerResponse
}

/** What a tenant may send: bodies are counted against it. */
export interface BodyQuota {
  /** Throws when nothing is left for the tenant of a request. */
  require(request: FastifyRequest): void
  /** Counts what a request has sent: events, and bytes as they are inflated. */
  spend(request: FastifyRequest, sent: { events: number; bytes: number }): void
}

export interface BodyLimits {
  /** Bytes of a batch, as it comes and as it is inflated. */
  bodyLimit: number
  /** Bytes of the data of an event, as JSON without anything that it could do without. */
  eventLimit: number
  /** Bytes of all bodies that are coming in. */
  totalLimit: number
  /** Bytes a second that a body must come in at; 0 takes any. */
  leastRate: number
  /** Most events in a batch: what has more is not parsed. */
  batchLimit: number
}

interface BodyType {
  type: string
  /** The only route that takes it; where missing, all do. */
  route?: string
  /** Reads the body of a batch. */
  readMany: (text: string, tenantId: string) => unknown
}

const BATCH = '/v1/events/batch'

/** As text an event may be so many times what its data may be, for spaces and escapes, and so much more for what is not data. */
const TEXT_PER_DATA = 2
const TEXT_BESIDE_DATA = 65_536

/** A list of up to so many characters is parsed as a whole, in a few milliseconds. */
const SHORT = 262_144

/** Puts our readers in the place of Fastify's, which take text/plain and silently replace bytes that are no UTF-8. */
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
   * The body of a request. Where it is to have events it counts against the quota, as far as it has come and also where it is
   * refused: as an event, unless it is all of a batch. The events of that are counted when they are told apart.
   */
  async function read(request: FastifyRequest, payload: IncomingMessage, limit: number): Promise<Buffer> {
    const { tenantId } = request.access
    const exchange = { request: payload, response: (request.raw as Answered)[ANSWER]! }
    if (request.routeOptions.config.scope !== 'ingest') return receive(exchange, tenantId, limit, () => {})
    let [events, bytes] = [1, 0]
    const count = (received: number) => {
      bytes = received
      // Others may have used it up since.
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

  /** The events of a batch; one of which they cannot be told apart counts as one. */
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
  /** Characters of an item. */
  textLimit: number
}

/**
 * The value of each item of a list. A short one is parsed as a whole, which costs less, unless it is so deep that its
 * items have to be told apart first.
 */
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

/** The value of each line; one that is no JSON is rejected as an item and does not spoil the others. */
async function readLines(text: string, tenantId: string, { batchLimit, textLimit }: ManyLimits): Promise<unknown[]> {
  const lines = linesOf(text, batchLimit)
  if (lines.length > batchLimit) return lines
  return inSlices(tenantId, lines, (line) => (line.length > textLimit ? tooLarge(textLimit) : readLine(line)))
}

/** The lines that are not blank. Stops when there are more than `limit`. */
function linesOf(text: string, limit: number): string[] {
  const lines: string[] = []
  // White space of JSON (RFC 8259). A search passes over millions of blank lines in milliseconds.
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
