/** Limits answers that clients do not read: how long they wait, and how much memory they take together. */
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Bytes that a connection buffers at once, whether they are read or not. */
const SMALL = 16_384

/**
 * Closes a connection whose client has read nothing of an answer for `timeoutMs`. While unread answers together take
 * more than `totalLimit` bytes, closes the connections that have been behind longest. A single unread answer may be of
 * any size.
 */
export function boundUnread(app: FastifyInstance, limits: { timeoutMs: number; totalLimit: number }): void {
  const { timeoutMs, totalLimit } = limits
  /** Unread bytes of each client; the first one has been behind longest. */
  const unread = new Map<Socket, number>()
  const known = new WeakSet<Socket>()
  let total = 0

  function add(socket: Socket, size: number): void {
    if (!known.has(socket)) socket.once('close', () => subtract(socket, Infinity))
    known.add(socket)
    unread.set(socket, (unread.get(socket) ?? 0) + size)
    total += size
    while (total > totalLimit && unread.size > 1) letGo(unread.keys().next().value!)
  }

  function subtract(socket: Socket, size: number): void {
    const held = unread.get(socket) ?? 0
    total -= Math.min(held, size)
    if (held > size) unread.set(socket, held - size)
    else unread.delete(socket)
  }

  function letGo(socket: Socket): void {
    subtract(socket, Infinity)
    app.log.info({ unread: unread.size }, 'closed a connection: its client had read the least of its answers')
    socket.destroy()
  }

  app.addHook('onSend', ({ raw: { socket } }, reply, payload, done) => {
    if (socket.destroyed) return done(null, payload)
    const size = sizeOf(payload)
    if (size > SMALL || socket.writableLength > 0) {
      // The timeout restarts with each part that the client reads. Once the whole answer is read, Node sets its own.
      socket.setTimeout(timeoutMs)
      if (Number.isFinite(size)) {
        add(socket, size)
        reply.raw.once('finish', () => subtract(socket, size))
      }
    }
    done(null, payload)
  })
}

/** The bytes of an answer, or the characters of a text; Infinity for a stream, whose size is unknown. */
function sizeOf(payload: unknown): number {
  if (payload === undefined || payload === null) return 0
  return typeof payload === 'string' || payload instanceof Uint8Array ? payload.length : Number.POSITIVE_INFINITY
}
