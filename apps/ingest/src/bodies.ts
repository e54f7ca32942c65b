/** How bodies are read: JSON and NDJSON, nothing else. */
import type { FastifyInstance } from 'fastify'
import { parse } from 'secure-json-parse'
import { RequestError } from './problem.js'

/** Adds NDJSON to the JSON that Fastify reads, and takes away plain text. */
export function readBodies(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain')
  app.addContentTypeParser('application/x-ndjson', { parseAs: 'string' }, (request, body, done) => {
    if (!request.url.startsWith('/v1/events/batch')) {
      return done(new RequestError('unsupported-media-type', 'NDJSON is for /v1/events/batch'))
    }
    const lines = (body as string).split('\n').filter((line) => line.trim() !== '')
    done(null, lines.map(parseLine))
  })
}

/** The value of a line, or the error of one that is no JSON: it is rejected as an item and does not spoil the others. */
function parseLine(line: string): unknown {
  try {
    return parse(line)
  } catch (error) {
    return error
  }
}
