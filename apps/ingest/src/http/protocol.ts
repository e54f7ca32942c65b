/** What HTTP itself asks of a request before any route does: a version that we speak, one host, an expectation that we know. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { type OnProblem, RequestError } from './problem.js'
import { answerRaw } from './unreadable.js'

/** uri-host and port of RFC 3986; it may be empty where the target has no authority. */
const HOST = /^[\w.~!$&'()*+,;=%:[\]-]*$/

/** Refuses requests that break HTTP, with a problem where Node would answer with nothing in it, or not at all. */
export function keepProtocol(app: FastifyInstance, onProblem: OnProblem): void {
  const { server } = app
  // Node drops what is beyond 2,000 headers; the limit on their bytes bounds them as well, and drops none.
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
 * Tells a client that waits with its body (RFC 9110 §10.1.1) to send it when a route begins to read, and not before: what is
 * refused by its headers alone is refused without the body. The connection ends then, as the client may send it all the same.
 */
function continueWhenRead(request: IncomingMessage, response: ServerResponse): void {
  const { shouldKeepAlive } = response
  response.shouldKeepAlive = false
  request.once('resume', () => {
    // Node reads to the end what a route did not read.
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
