/** How bodies are read: JSON and NDJSON in UTF-8, nothing else. */
import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parse } from 'secure-json-parse'
import { RequestError } from './problem.js'

/** Puts our readers in the place of Fastify's, which take text/plain and silently replace bytes that are no UTF-8. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) => {
    try {
      return parse(textOf(body))
    } catch (error) {
      throw error instanceof SyntaxError
        ? new RequestError('malformed-body', `The body is not valid JSON: ${error.message}`)
        : error
    }
  })
  app.addContentTypeParser(
    'application/x-ndjson',
    { parseAs: 'buffer' },
    async ({ url }: FastifyRequest, body: Buffer) => {
      if (!url.startsWith('/v1/events/batch')) {
        throw new RequestError('unsupported-media-type', 'NDJSON is for /v1/events/batch')
      }
      const lines = textOf(body)
        .split('\n')
        .filter((line) => line.trim() !== '')
      return lines.map(parseLine)
    },
  )
}

function textOf(body: Buffer): string {
  if (!isUtf8(body)) throw new RequestError('malformed-body', 'The body is not valid UTF-8')
  return body.toString()
}

/** The value of a line, or the error of one that is no JSON: it is rejected as an item and does not spoil the others. */
function parseLine(line: string): unknown {
  try {
    return parse(line)
  } catch (error) {
    return error
  }
}
