/** Answers what Node cannot read as a request, or not in time: there is no request and no reply then, only a socket. */
import type { Socket } from 'node:net'
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { type OnProblem, problemBody } from './problem.js'

/** Of one request, all together; Node's own limit. */
export const MAX_HEADER_BYTES = 16_384

const BY_CODE: Record<string, [code: ProblemCode, detail: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request did not arrive in time; nothing was stored'],
  HPE_HEADER_OVERFLOW: ['headers-too-large', `The headers have ${MAX_HEADER_BYTES} bytes at the most`],
}

/** For Fastify's `clientErrorHandler`. */
export function answerUnreadable(onProblem: OnProblem) {
  return (error: Error & { code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy(error)
      return
    }
    const [code, detail] = BY_CODE[error.code ?? ''] ?? ['invalid-query', 'The request is no valid HTTP/1.1']
    onProblem(code)
    const body = JSON.stringify(problemBody(code, detail))
    const { status, title } = PROBLEMS[code]
    socket.end(
      `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    )
    socket.destroySoon()
  }
}
