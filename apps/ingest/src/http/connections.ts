/**
 * Limits connections: how many are allowed in all and from one address, and which one is closed if there are more. Each
 * has one request at a time. Closing the service waits for requests only. A connection is *silent* until its first
 * request, then *busy* during a request, and *idle* in between.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/**
 * The most requests of a connection that may wait for an earlier one. A client that pipelines thousands is
 * disconnected, because each takes memory.
 */
const MAX_PIPELINED = 100

/** A connection that sends nothing is closed after this time, in milliseconds. Requests have a different limit. */
const SILENT_MS = 10_000

export interface ConnectionLimits {
  max: number
  maxPerAddress: number
  /** Called for each connection that is closed because there are too many. */
  onClosed: () => void
}

/** All connections, or those from one address, in the order of arrival. */
type Group = Map<Socket, Known>

interface Known {
  groups: readonly Group[]
  /** The number of current requests. */
  busy: number
  /** When it became idle, as a counter; 0 while it is silent. */
  idleSince: number
  /** Called when a request has ended. */
  end: () => void
  /** Requests that arrived before an earlier one was answered; they are handled one by one. */
  waiting: (() => void)[]
}

/**
 * Limits the connections of the service. Returns a function that tells whether the service is open, which ends when it
 * begins to close.
 */
export function boundConnections(
  app: FastifyInstance,
  { max, maxPerAddress, onClosed }: ConnectionLimits,
): () => boolean {
  const all: Group = new Map()
  const byAddress = new Map<string, Group>()
  let moments = 0
  let open = true

  /** Admits a connection. If there are too many, closes one without a current request to make room. */
  function enter(socket: Socket): void {
    if (!open) return void socket.destroy()
    const address = networkOf(socket.remoteAddress ?? '')
    const own: Group = byAddress.get(address) ?? new Map()
    const full = own.size >= maxPerAddress ? own : all.size >= max ? all : undefined
    if (full) {
      onClosed()
      const other = longestIdle(full)
      if (!other) return void socket.destroy()
      other.destroy()
      forget(other)
    }
    byAddress.set(address, own)
    const groups = [all, own]
    const entry: Known = { groups, busy: 0, idleSince: 0, end: () => endRequest(socket, entry), waiting: [] }
    for (const group of groups) group.set(socket, entry)
    const closing = setTimeout(() => socket.bytesRead === 0 && socket.destroy(), SILENT_MS)
    socket.once('close', () => {
      clearTimeout(closing)
      forget(socket)
      if (own.size === 0 && byAddress.get(address) === own) byAddress.delete(address)
    })
  }

  function endRequest(socket: Socket, entry: Known): void {
    entry.busy--
    entry.idleSince = ++moments
    if (all.has(socket)) entry.waiting.shift()?.()
  }

  function forget(socket: Socket): void {
    for (const group of all.get(socket)?.groups ?? []) group.delete(socket)
  }

  app.server.on('connection', enter)
  // Runs before the listener of the service.
  app.server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const entry = all.get(socket)
    if (!entry) return
    entry.busy++
    response.on('close', entry.end)
  })

  // Hundreds of pipelined requests can arrive together: handled at once, they would block the event loop.
  app.addHook('onRequest', ({ raw: { socket } }, _, done) => {
    const entry = all.get(socket)
    if (!entry || entry.busy <= 1) return done()
    if (entry.waiting.length < MAX_PIPELINED) entry.waiting.push(done)
    else socket.destroy()
  })

  // A connection without a first request is not idle to Node, which would wait until it times out.
  app.addHook('preClose', async () => {
    open = false
    for (const socket of all.keys()) if (socket.bytesRead === 0) socket.destroy()
  })
  // A keep-alive connection would delay closing for as long as its client likes.
  app.addHook('onSend', (_, reply, payload, done) => {
    if (!open) reply.header('connection', 'close')
    done(null, payload)
  })
  return () => open
}

/**
 * Returns a connection without a request: the first silent one, or else the one that has been idle longest. Called only
 * if a group is full.
 */
function longestIdle(group: Group): Socket | undefined {
  let found: Socket | undefined
  let least = Number.POSITIVE_INFINITY
  for (const [socket, { busy, idleSince }] of group) {
    if (busy > 0 || idleSince >= least) continue
    found = socket
    least = idleSince
    if (least === 0) break
  }
  return found
}

/**
 * Returns what counts as one address: for IPv6 the network (the first 64 bits), because a client has all of its
 * addresses.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head, tail] = address.split('::') as [string, string?]
  const groups = head === '' ? [] : head.split(':')
  if (tail === undefined) return groups.slice(0, 4).join(':')
  const zeros = 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array(zeros).fill('0'), ...tail.split(':')].slice(0, 4).join(':')
}
