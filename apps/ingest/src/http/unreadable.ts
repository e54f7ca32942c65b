/**
 * Answers what Node cannot read as a request, or not in time. There is no request and no reply object, only a socket.
 */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { DATA_HEADERS } from './answer-headers.js'
import { type OnProblem, problemBody } from './problem.js'

/** The most bytes of all headers of a request; Node's own limit. */
export const MAX_HEADER_BYTES = 16_384

const BY_CODE: Record<string, [code: ProblemCode, detail: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request did not arrive in time; nothing was stored'],
  HPE_HEADER_OVERFLOW: ['headers-too-large', `The limit of the headers is ${MAX_HEADER_BYTES} bytes`],
  HPE_PAUSED_H2_UPGRADE: ['invalid-query', 'This port speaks HTTP/1.1, not HTTP/2'],
}

/** For Fastify's `clientErrorHandler`. */
export function answerUnreadable(onProblem: OnProblem) {
  return (error: Error & { code?: string }, socket: Duplex): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy(error)
      return
    }
    const [code, detail] = BY_CODE[error.code ?? ''] ?? ['invalid-query', 'The request is not valid HTTP/1.1']
    onProblem(code)
    answerRaw(socket, code, detail)
  }
}

/** Writes a problem as the last answer of a connection. */
export function answerRaw(socket: Duplex, code: ProblemCode, detail: string): void {
  const { status } = PROBLEMS[code]
  const body = JSON.stringify(problemBody(code, detail))
  const headers = {
    ...DATA_HEADERS,
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    date: new Date().toUTCString(),
    connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  // The client may be gone, and Node has no error listener on the socket of a CONNECT.
  socket.on('error', () => {})
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
  socket.once('finish', () => socket.destroy())
}
