/** Checks that do not depend on the route: the HTTP version, exactly one host, known expectations. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { type OnProblem, RequestError } from './problem.js'
import { answerRaw } from './unreadable.js'

/** uri-host and port of RFC 3986; it may be empty if the target has no authority. */
const HOST = /^[\w.~!$&'()*+,;=%:[\]-]*$/

/** Answers requests that violate HTTP with a problem; Node would send an empty answer or none. */
export function keepProtocol(app: FastifyInstance, onProblem: OnProblem): void {
  const { server } = app
  // Node drops headers beyond 2,000; the limit on their bytes also limits their number and drops none.
  server.maxHeadersCount = 0
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    continueWhenRead(request, response)
    server.emit('request', request, response)
  })
  // The hook below refuses it.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('connect', (_, socket) => {
    onProblem('invalid-query')
    answerRaw(socket, 'invalid-query', 'CONNECT is for proxies, and this server is not one')
  })
  app.addHook('onRequest', ({ raw }, _, done) => done(faultOf(raw)))
}

/**
 * Tells a client that waits with its body (RFC 9110 §10.1.1) to send it once a route begins to read. A request that is
 * refused by its headers is refused without the body. The connection is then closed, because the client may send the
 * body anyway.
 */
function continueWhenRead(request: IncomingMessage, response: ServerResponse): void {
  const { shouldKeepAlive } = response
  response.shouldKeepAlive = false
  request.once('resume', () => {
    // Node reads the rest of a body that a route did not read.
    if (response.headersSent) return
    response.shouldKeepAlive = shouldKeepAlive
    response.writeContinue()
  })
}

function faultOf({ httpVersion, httpVersionMajor, rawHeaders, headers }: IncomingMessage): RequestError | undefined {
  if (httpVersionMajor !== 1) return broken(`The version must be HTTP/1.1 or HTTP/1.0, not HTTP/${httpVersion}`)
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) return broken('The header Host must occur once')
  if (hosts === 0 && httpVersion === '1.1') return broken('The header Host is missing')
  if (!HOST.test(headers.host ?? '')) return broken('The header Host must be a name or an address with a port')
  const { expect } = headers
  if (expect === undefined || expect.toLowerCase() === '100-continue') return undefined
  return new RequestError('expectation-failed', 'The header Expect may only be 100-continue', undefined, CLOSE)
}

const CLOSE = { connection: 'close' }

const broken = (detail: string) => new RequestError('invalid-query', detail, undefined, CLOSE)
