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

/** All connections, or those from one address. The sets have those that have waited longest first. */
interface Group {
  open: number
  silent: Set<Socket>
  idle: Set<Socket>
}

interface Known {
  groups: readonly Group[]
  /** Requests under way. */
  busy: number
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
  const all = newGroup()
  const byAddress = new Map<string, Group>()
  const known = new Map<Socket, Known>()
  let open = true

  /** Where there are too many, closes one that has no request under way to make room for it. */
  function enter(socket: Socket): void {
    if (!open) return void socket.destroy()
    const address = networkOf(socket.remoteAddress ?? '')
    const own = byAddress.get(address) ?? newGroup()
    const full = own.open >= maxPerAddress ? own : all.open >= max ? all : undefined
    if (full) {
      onClosed()
      const [other] = full.silent.size > 0 ? full.silent : full.idle
      if (!other) return void socket.destroy()
      other.destroy()
      forget(other)
    }
    byAddress.set(address, own)
    const groups = [all, own]
    const entry: Known = { groups, busy: 0, end: () => endRequest(socket, entry), waiting: [] }
    known.set(socket, entry)
    for (const group of groups) {
      group.open++
      group.silent.add(socket)
    }
    const closing = setTimeout(() => socket.bytesRead === 0 && socket.destroy(), SILENT_MS)
    socket.once('close', () => {
      clearTimeout(closing)
      forget(socket)
      if (own.open === 0 && byAddress.get(address) === own) byAddress.delete(address)
    })
  }

  function endRequest(socket: Socket, entry: Known): void {
    entry.busy--
    if (!known.has(socket)) return
    entry.waiting.shift()?.()
    if (entry.busy > 0) return
    for (const { idle } of entry.groups) idle.add(socket)
  }

  function forget(socket: Socket): void {
    for (const group of known.get(socket)?.groups ?? []) {
      group.open--
      group.silent.delete(socket)
      group.idle.delete(socket)
    }
    known.delete(socket)
  }

  app.server.on('connection', enter)
  // Before the service hears of it.
  app.server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const entry = known.get(socket)
    if (!entry) return
    entry.busy++
    for (const { silent, idle } of entry.groups) {
      silent.delete(socket)
      idle.delete(socket)
    }
    response.on('close', entry.end)
  })

  // Hundreds of pipelined requests can come in one piece: handled at once, they would block the event loop for all others.
  app.addHook('onRequest', ({ raw: { socket } }, _, done) => {
    const entry = known.get(socket)
    if (!entry || entry.busy <= 1) return done()
    if (entry.waiting.length < MAX_PIPELINED) entry.waiting.push(done)
    else socket.destroy()
  })

  // A connection that was opened ahead of its first request is not idle to Node, which would wait until that times out.
  app.addHook('preClose', async () => {
    open = false
    for (const socket of all.silent) if (socket.bytesRead === 0) socket.destroy()
  })
  // A client that keeps its connection alive would hold up the close for as long as it likes.
  app.addHook('onSend', (_, reply, payload, done) => {
    if (!open) reply.header('connection', 'close')
    done(null, payload)
  })
  return () => open
}

const newGroup = (): Group => ({ open: 0, silent: new Set(), idle: new Set() })

/** What counts as one address: of IPv6 the network, the first 64 bits, since a client has all addresses of one. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head, tail] = address.split('::') as [string, string?]
  const groups = head === '' ? [] : head.split(':')
  if (tail === undefined) return groups.slice(0, 4).join(':')
  const zeros = 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array(zeros).fill('0'), ...tail.split(':')].slice(0, 4).join(':')
}
