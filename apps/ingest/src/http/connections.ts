/**
 * Bounds connections: how many there may be, in all and from one address, and which one is closed when there are more. Each has
 * one request at a time. A close waits for requests and for nothing else. A connection is *silent* until its first request,
 * then *busy* while it has a request under way, and *idle* in between.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** So many requests of a connection may wait for an earlier one. A client that pipelines thousands is cut off: each takes memory. */
const MAX_PIPELINED = 100

/** A connection that sends nothing at all is closed after this time, in milliseconds. A request that has begun has its own. */
const SILENT_MS = 10_000

export interface ConnectionLimits {
  max: number
  maxPerAddress: number
  /** Told of each connection that is closed because there are too many. */
  onClosed: () => void
}

/** All connections, or those from one address; who came first is first. */
type Group = Map<Socket, Known>

interface Known {
  groups: readonly Group[]
  /** Requests under way. */
  busy: number
  /** When it became idle, as a count of such moments; 0 while it is silent. */
  idleSince: number
  /** One of them is over. */
  end: () => void
  /** Requests that came before an earlier one was answered; each has its turn when that is. */
  waiting: (() => void)[]
}

/** Gives whether the service is open: from the beginning of its close on it is not. */
export function boundConnections(
  app: FastifyInstance,
  { max, maxPerAddress, onClosed }: ConnectionLimits,
): () => boolean {
  const all: Group = new Map()
  const byAddress = new Map<string, Group>()
  let moments = 0
  let open = true

  /** Where there are too many, closes one that has no request under way to make room for it. */
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
  // Before the service hears of it.
  app.server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const entry = all.get(socket)
    if (!entry) return
    entry.busy++
    response.on('close', entry.end)
  })

  // Hundreds of pipelined requests can come in one piece: handled at once, they would block the event loop for all others.
  app.addHook('onRequest', ({ raw: { socket } }, _, done) => {
    const entry = all.get(socket)
    if (!entry || entry.busy <= 1) return done()
    if (entry.waiting.length < MAX_PIPELINED) entry.waiting.push(done)
    else socket.destroy()
  })

  // A connection that was opened ahead of its first request is not idle to Node, which would wait until that times out.
  app.addHook('preClose', async () => {
    open = false
    for (const socket of all.keys()) if (socket.bytesRead === 0) socket.destroy()
  })
  // A client that keeps its connection alive would hold up the close for as long as it likes.
  app.addHook('onSend', (_, reply, payload, done) => {
    if (!open) reply.header('connection', 'close')
    done(null, payload)
  })
  return () => open
}

/** One that does nothing: the first that is silent, or else the one that has been idle longest. Looked for only where a group is full. */
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

/** What counts as one address: of IPv6 the network, the first 64 bits, since a client has all addresses of one. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head, tail] = address.split('::') as [string, string?]
  const groups = head === '' ? [] : head.split(':')
  if (tail === undefined) return groups.slice(0, 4).join(':')
  const zeros = 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array(zeros).fill('0'), ...tail.split(':')].slice(0, 4).join(':')
}
