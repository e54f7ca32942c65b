/** For the tests: a small HTTP server that stores events as EventFlow does, and misbehaves on demand. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { OutgoingEvent } from './event.js'

type StoredEvent = OutgoingEvent & { id: string }

export interface Received {
  method: string
  url: string
  headers: IncomingMessage['headers']
  text: string
  events: StoredEvent[]
}

/** What to do with one request instead of the usual answer. */
export type Fault = (request: Received, response: ServerResponse, server: TestServer) => void | Promise<void>

export interface TestServer {
  url: string
  port: number
  requests: Received[]
  /** Stored events in the order of acceptance, each once. */
  stored: StoredEvent[]
  /** One fault for each of the next requests. */
  faults: Fault[]
  /** The fault of every request that has no entry in `faults`. */
  fault: Fault
  /** Stores the events; returns for each whether it was there already. */
  store(events: StoredEvent[]): boolean[]
  close(): Promise<void>
}

export async function startServer(port = 0): Promise<TestServer> {
  const byId = new Set<string>()
  const http = createServer(async (message, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of message) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const events = [text === '' ? [] : JSON.parse(text)].flat()
    const request = { method: message.method!, url: message.url!, headers: message.headers, text, events }
    server.requests.push(request)
    const fault = server.faults.shift() ?? server.fault
    await fault(request, response, server)
  })
  const server: TestServer = {
    url: '',
    port: 0,
    requests: [],
    stored: [],
    faults: [],
    fault: answer,
    store(events) {
      return events.map((event) => {
        if (byId.has(event.id)) return true
        byId.add(event.id)
        server.stored.push(event)
        return false
      })
    },
    async close() {
      http.closeAllConnections()
      http.close()
      await once(http, 'close')
    },
  }
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  server.port = (http.address() as AddressInfo).port
  server.url = `http://127.0.0.1:${server.port}`
  return server
}

/** No fault: stores the events and reports that. */
export function answer({ url, events }: Received, response: ServerResponse, server: TestServer): void {
  const items = server.store(events).map((known, index) => {
    return { index, id: events[index]!.id, status: known ? 'duplicate' : 'accepted' }
  })
  if (url === '/v1/events/batch') sendJson(response, 200, { items })
  else sendJson(response, 202, { id: items[0]!.id, status: 'accepted', duplicate: items[0]!.status === 'duplicate' })
}

/** Answers with a problem, and with a `Retry-After` header if one is given. */
export function refuse(status: number, problem: object = {}, retryAfter?: string): Fault {
  return (_, response) => {
    if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter)
    sendJson(response, status, { status, ...problem })
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' })
  response.end(JSON.stringify(body))
}
