/** CloudEvents 1.0 over HTTP: determines the form of an event, and reads attributes from headers. */
import { checkText, type Problem } from '@eventflow/core'
import type { FastifyRequest } from 'fastify'
import { Flawed } from './exact-json.js'

/**
 * `plain`: our JSON, in which most attributes are optional. `cloudevent`: with everything that the specification
 * requires.
 */
export type Form = 'plain' | 'cloudevent'

/** Returns the event of a request to the route for single events, and its form. */
export function eventOf(request: FastifyRequest): { given: unknown; form: Form } {
  if (isStructured(request)) return { given: withoutNulls(request.body), form: 'cloudevent' }
  if (isBinary(request)) return { given: fromHeaders(request.raw.rawHeaders, request.body), form: 'cloudevent' }
  return { given: request.body, form: 'plain' }
}

/** Like `eventOf`, for an item of a batch. */
export function batchItemOf(request: FastifyRequest, item: unknown): { given: unknown; form: Form } {
  return isStructured(request) ? { given: withoutNulls(item), form: 'cloudevent' } : { given: item, form: 'plain' }
}

const isStructured = ({ headers }: FastifyRequest) => /^application\/cloudevents/i.test(headers['content-type'] ?? '')

const isBinary = ({ headers }: FastifyRequest) =>
  'ce-specversion' in headers || 'ce-id' in headers || 'ce-type' in headers || 'ce-source' in headers

/** An attribute that is null counts as missing. */
function withoutNulls(sent: unknown): unknown {
  if (typeof sent !== 'object' || sent === null || sent instanceof Flawed) return sent
  if ('data_base64' in sent) {
    return new Flawed([{ pointer: '/data_base64', message: 'is not supported; send JSON in data' }])
  }
  return Object.fromEntries(Object.entries(sent).filter(([name, value]) => value !== null || name === 'data'))
}

/**
 * Returns the event whose attributes are in the headers `ce-…` and whose data is the body. `rawHeaders` alternates
 * names and values.
 */
function fromHeaders(rawHeaders: readonly string[], data: unknown): unknown {
  if (data instanceof Flawed) {
    return new Flawed(data.problems.map(({ pointer, message }) => ({ pointer: `/data${pointer}`, message })))
  }
  const attributes = new Map<string, unknown>([['data', data]])
  const problems: Problem[] = []
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const header = rawHeaders[n]!.toLowerCase()
    if (!header.startsWith('ce-')) continue
    const name = header.slice('ce-'.length)
    const value = decodeHeader(rawHeaders[n + 1]!)
    const fault = (message: string) => problems.push({ pointer: `/${name}`, message })
    if (name === 'datacontenttype') fault('belongs in the header Content-Type')
    else if (attributes.has(name)) fault(name === 'data' ? 'is the body' : `occurs more than once`)
    else if (value === undefined) fault('must be printable ASCII, with other characters percent-encoded as UTF-8')
    else if (checkText(value, '')) fault(checkText(value, '')!.message)
    else attributes.set(name, value)
  }
  return problems.length > 0 ? new Flawed(problems) : Object.fromEntries(attributes)
}

/**
 * Decodes a header value: removes the quotes, then percent-decodes it. Returns undefined if the result is not UTF-8.
 */
export function decodeHeader(value: string): string | undefined {
  if (/[^\x20-\x7e]/.test(value)) return undefined
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(value)?.[1]
  try {
    return decodeURIComponent(quoted === undefined ? value : quoted.replace(/\\(.)/g, '$1'))
  } catch {
    return undefined
  }
}
