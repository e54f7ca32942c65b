/** How bodies are read: JSON in UTF-8, by content type, and each content type only where it means something. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Flawed, parseExactly } from './exact-json.js'
import { RequestError } from './problem.js'
import { createReceiver } from './receive.js'

export interface BodyLimits {
  /** Bytes of one body, as it comes and as it is inflated. */
  bodyLimit: number
  /** Bytes of all bodies that are coming in. */
  totalLimit: number
  /** Most events in a batch: lines beyond it are not parsed. */
  batchLimit: number
}

interface BodyType {
  type: string
  /** The only route that takes it; where missing, all do. */
  route?: string
  read: (text: string) => unknown
}

/** Puts our readers in the place of Fastify's, which take text/plain and silently replace bytes that are no UTF-8. */
export function readBodies(app: FastifyInstance, { batchLimit, ...limits }: BodyLimits): void {
  const { receive } = createReceiver(limits)
  const types: BodyType[] = [
    { type: 'application/json', read: readJson },
    { type: 'application/x-ndjson', route: '/v1/events/batch', read: (text) => readLines(text, batchLimit) },
    { type: 'application/cloudevents+json', route: '/v1/events', read: readJson },
    { type: 'application/cloudevents-batch+json', route: '/v1/events/batch', read: readJson },
  ]
  const fits = ({ route }: BodyType, request: FastifyRequest) =>
    route === undefined || route === request.routeOptions.url
  const unsupported = (request: FastifyRequest) => {
    const names = types.filter((type) => fits(type, request)).map(({ type }) => type)
    return new RequestError('unsupported-media-type', `This route takes ${names.join(', ')}, in UTF-8`)
  }

  app.removeAllContentTypeParsers()
  for (const type of types) {
    app.addContentTypeParser(type.type, async (request: FastifyRequest, payload: IncomingMessage) => {
      if (request.is404) return undefined
      if (!fits(type, request) || namesOtherCharset(request)) throw unsupported(request)
      const body = await receive(payload)
      if (!isUtf8(body)) throw new RequestError('malformed-body', 'The body is not valid UTF-8')
      return type.read(body.toString())
    })
  }
  app.addContentTypeParser('*', async (request: FastifyRequest) => {
    if (!request.is404) throw unsupported(request)
  })
}

const namesOtherCharset = (request: FastifyRequest) =>
  /;\s*charset\s*=\s*(?!"?utf-8"?\s*(;|$))/i.test(request.headers['content-type']!)

function readJson(text: string): unknown {
  try {
    return parseExactly(text)
  } catch (error) {
    throw new RequestError('malformed-body', `The body is not valid JSON: ${(error as SyntaxError).message}`)
  }
}

/** The value of each line; one that is no JSON is rejected as an item and does not spoil the others. */
function readLines(text: string, limit: number): unknown[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.length > limit ? lines : lines.map(readLine)
}

function readLine(line: string): unknown {
  try {
    return parseExactly(line)
  } catch (error) {
    return new Flawed([{ pointer: '', message: `is not valid JSON: ${(error as SyntaxError).message}` }])
  }
}
