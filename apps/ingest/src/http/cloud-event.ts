/** CloudEvents 1.0 over HTTP: which form an event comes in, and how attributes are read from headers. */
import { checkText, type Problem } from '@eventflow/core'
import type { FastifyRequest } from 'fastify'
import { Flawed } from './exact-json.js'

/** `plain`: our own JSON, where most attributes may be missing. `cloudevent`: all that the specification asks for. */
export type Form = 'plain' | 'cloudevent'

/** The event of a request to the route for single events, and its form. */
export function eventOf(request: FastifyRequest): { given: unknown; form: Form } {
  if (isStructured(request)) return { given: withoutNulls(request.body), form: 'cloudevent' }
  if (isBinary(request)) return { given: fromHeaders(request.raw.rawHeaders, request.body), form: 'cloudevent' }
  return { given: request.body, form: 'plain' }
}

/** As `eventOf`, for an item of a batch. */
export function batchItemOf(request: FastifyRequest, item: unknown): { given: unknown; form: Form } {
  return isStructured(request) ? { given: withoutNulls(item), form: 'cloudevent' } : { given: item, form: 'plain' }
}

const isStructured = ({ headers }: FastifyRequest) => /^application\/cloudevents/i.test(headers['content-type'] ?? '')

const isBinary = ({ headers }: FastifyRequest) =>
  'ce-specversion' in headers || 'ce-id' in headers || 'ce-type' in headers || 'ce-source' in headers

/** An attribute that is null counts as left out. */
function withoutNulls(sent: unknown): unknown {
  if (typeof sent !== 'object' || sent === null || sent instanceof Flawed) return sent
  if ('data_base64' in sent) {
    return new Flawed([{ pointer: '/data_base64', message: 'is not supported; send JSON in data' }])
  }
  return Object.fromEntries(Object.entries(sent).filter(([name, value]) => value !== null || name === 'data'))
}

/** The event whose attributes are in the headers `ce-…`, and whose data is the body. `rawHeaders` are names and values in turn. */
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
 * The text of a header value: out of its quotes, if it is in quotes, and then percent-decoded; nothing where that is no
 * UTF-8.
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
