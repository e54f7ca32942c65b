/** What a request says besides its body, and how strictly both are read. */
import { compileSchema, findUnstorable } from '@eventflow/core'
import type { FastifyRequest, FastifySchemaCompiler } from 'fastify'
import { inBrief } from './brief.js'
import { decodeHeader } from './cloud-event.js'
import { Flawed } from './exact-json.js'
import { RequestError } from './problem.js'

/** The form of a `traceparent` (W3C Trace Context, 3.2.2): not of version ff, and neither trace nor span are zeros. */
export const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** The traceparent of a request; one that is malformed is as good as none, as W3C Trace Context asks. */
export function traceparentHeader({ headers }: FastifyRequest): string | undefined {
  const { traceparent } = headers
  return typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? traceparent : undefined
}

/** The X-Correlation-ID of a request. Throws RequestError when it cannot be kept. */
export function correlationIdHeader({ headers }: FastifyRequest): string | undefined {
  const value = headers['x-correlation-id']
  if (value === undefined || value === '') return undefined
  if (/^[\x20-\x7e]{1,200}$/.test(value as string)) return value as string
  throw new RequestError('invalid-query', 'X-Correlation-ID must be 1 to 200 characters of printable ASCII')
}

/**
 * Who asks for an operation: the key, which is proof, and what the request says of itself in X-Operator, which is good for a log.
 * Throws RequestError when that cannot be kept.
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
 * The Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header), which is in quotes there; many clients
 * leave them out. Throws RequestError when it is malformed.
 */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const header = headers['idempotency-key']
  if (header === undefined) return undefined
  const quoted = /^"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,200})"$/.exec(header as string)?.[1]
  if (quoted !== undefined) return quoted
  if (/^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,200}$/.test(header as string)) return header as string
  throw new RequestError('invalid-query', 'Idempotency-Key must be 1 to 200 characters of printable ASCII in quotes')
}

/** Checks what a schema describes as it was sent: nothing is coerced, dropped or filled in, and each fault is pointed at. */
export const strictly: FastifySchemaCompiler<object> = ({ schema }) => {
  // What says more of a moment is `readFilter`.
  const check = compileSchema(schema, { elsewhere: ['date-time'] })
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
