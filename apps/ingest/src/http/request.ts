/** Reads the headers of a request, and how strictly parameters and bodies are checked. */
import { compileSchema, findUnstorable } from '@eventflow/core'
import type { FastifyRequest, FastifySchemaCompiler } from 'fastify'
import { inBrief } from './brief.js'
import { decodeHeader } from './cloud-event.js'
import { Flawed } from './exact-json.js'
import { lazily } from './lazily.js'
import { RequestError } from './problem.js'

/** The form of a `traceparent` (W3C Trace Context, 3.2.2): not version ff, and neither trace nor span all zeros. */
export const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** Returns the traceparent of a request; a malformed one is ignored, as W3C Trace Context requires. */
export function traceparentHeader({ headers }: FastifyRequest): string | undefined {
  const { traceparent } = headers
  return typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? traceparent : undefined
}

/** Returns the X-Correlation-ID of a request. Throws RequestError if it cannot be stored. */
export function correlationIdHeader({ headers }: FastifyRequest): string | undefined {
  const value = headers['x-correlation-id']
  if (value === undefined || value === '') return undefined
  if (/^[\x20-\x7e]{1,200}$/.test(value as string)) return value as string
  throw new RequestError('invalid-query', 'X-Correlation-ID must be 1 to 200 characters of printable ASCII')
}

/**
 * Returns who started an operation: the key, which is proof, and the request's X-Operator, which is only informative.
 * Throws RequestError if that cannot be stored.
 */
export function operatorOf(request: FastifyRequest): string {
  const header = request.headers['x-operator'] as string | undefined
  const stated = header ? decodeHeader(header) : undefined
  if (header && (stated === undefined || !/^[^\p{C}]{1,200}$/u.test(stated))) {
    const form = '1 to 200 characters of printable ASCII, with others percent-encoded as UTF-8'
    throw new RequestError('invalid-query', `X-Operator must be ${form}`)
  }
  const { keyId } = request.access
  if (keyId === undefined) return stated ?? 'anonymous'
  return stated === undefined ? `key ${keyId}` : `${stated} with key ${keyId}`
}

/**
 * Returns the Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header). The draft requires quotes, but
 * many clients leave them out. Throws RequestError if it is malformed.
 */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const header = headers['idempotency-key']
  if (header === undefined) return undefined
  const quoted = /^"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,200})"$/.exec(header as string)?.[1]
  if (quoted !== undefined) return quoted
  if (/^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,200}$/.test(header as string)) return header as string
  throw new RequestError('invalid-query', 'Idempotency-Key must be 1 to 200 characters of printable ASCII in quotes')
}

/**
 * Checks values against a schema as they were sent: nothing is coerced, dropped or filled in, and each fault has its
 * place.
 */
export const strictly: FastifySchemaCompiler<object> = ({ schema }) => {
  // `readFilter` checks times in more detail.
  const check = lazily(() => compileSchema(schema, { elsewhere: ['date-time'] }))
  return (value) => {
    const unstorable = findUnstorable(value)
    const problems = value instanceof Flawed ? value.problems : unstorable ? [unstorable] : check(value)
    if (problems.length === 0) return { value }
    const detail = inBrief(problems)
      .map(({ pointer, message }) => `${pointer || 'the request'} ${message}`)
      .join('; ')
    return { error: new RequestError('invalid-query', detail, problems) }
  }
}
