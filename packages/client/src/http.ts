/** One HTTP request and its answer. Never throws: a lost request is a reply too. */
import { type Dispatcher, Pool } from 'undici'
import { retryAfterMs } from './retry.js'

export interface ConnectionOptions {
  /** Where the server is: `http://127.0.0.1:8000`. */
  url: string
  apiKey?: string
  /** Sent with every request. */
  headers?: Record<string, string>
  /** The timeout of one try, in milliseconds. Default 30 s. */
  timeoutMs?: number
  /** Maximum connections to the server; further requests wait for a free one. Default 64. */
  connections?: number
  /** Called after every try of a request. */
  onRequest?: (request: RequestReport) => void
}

/** One try of one request, with `events` in its body. `status` is missing if no answer came. */
export interface RequestReport {
  events: number
  status?: number
  durationMs: number
}

export interface Answer {
  status: number
  body: unknown
  /** The delay before the next try that the server asked for, in milliseconds. */
  retryAfterMs: number
}

/** The result of one request: an answer, or the error if it was lost. */
export type Reply = Answer | { lost: unknown }

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

type Send<Missing> = <Body>(method: Method, path: string, body?: object) => Promise<Body | Missing>

/** Requests of JSON: `call` resolves with `undefined` if there is no such thing, `always` throws then. */
export interface Sending {
  call: Send<undefined>
  always: Send<never>
}

interface Request {
  method: Method
  path: string
  body?: string
  /** The media type of the body, unless it is plain JSON. */
  contentType?: string
  events?: number
  /** How much longer than usual the answer may take, in milliseconds. */
  waitMs?: number
  signal?: AbortSignal | undefined
}

export interface Connection {
  exchange(request: Request): Promise<Reply>
  /** Waits for the requests in flight, then closes. */
  close(): Promise<void>
}

/** Keep-alive connections to one server; opens none yet. @throws {TypeError} when `url` is not valid. */
export function createConnection(options: ConnectionOptions): Connection {
  const { timeoutMs = 30_000, connections = 64, onRequest } = options
  const { origin, pathname } = new URL(options.url)
  const base = pathname.replace(/\/$/, '')
  // undici's Pool needs a tenth of the CPU time of fetch per request, and less than half of node:http's.
  const pool = new Pool(origin, { connections, connect: { timeout: timeoutMs } })
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json',
    ...options.headers,
  }
  if (options.apiKey !== undefined) headers.authorization = `Bearer ${options.apiKey}`

  return {
    async exchange({ method, path, body = null, contentType, events = 0, waitMs = 0, signal = null }) {
      const timeout = timeoutMs + waitMs
      const limits = { headersTimeout: timeout, bodyTimeout: timeout, signal }
      const startedAt = performance.now()
      const reply = await pool
        .request({
          method,
          path: base + path,
          headers: contentType ? { ...headers, 'content-type': contentType } : headers,
          body,
          ...limits,
        })
        .then(readAnswer)
        .catch((lost: unknown) => ({ lost }))
      const durationMs = performance.now() - startedAt
      onRequest?.('lost' in reply ? { events, durationMs } : { events, durationMs, status: reply.status })
      return reply
    },
    close: () => pool.close(),
  }
}

async function readAnswer({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
  const text = await body.text()
  const retryAfter = [headers['retry-after']].flat()[0]
  return { status: statusCode, body: parsed(text), retryAfterMs: retryAfterMs(retryAfter, Date.now()) }
}

/** The value of a JSON text, or the text itself if it is not JSON (a proxy's error page). */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
