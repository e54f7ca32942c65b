/** Answers that are not read: none waits for ever, and all together they take no more memory than bodies may. */
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Bytes that a connection takes at once, whether they are read or not. */
const SMALL = 16_384

/**
 * Closes a connection whose client has read nothing of an answer for `timeoutMs`, and those that have been behind longest
 * while the answers of all wait with more than `totalLimit` bytes. The only one that waits may be of any size.
 */
export function boundUnread(app: FastifyInstance, limits: { timeoutMs: number; totalLimit: number }): void {
  const { timeoutMs, totalLimit } = limits
  /** Bytes that wait for each client; the first one has been behind longest. */
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
      // The timeout starts anew with each part that the client reads. Once all of the answer is read, Node sets its own.
      socket.setTimeout(timeoutMs)
      if (Number.isFinite(size)) {
        add(socket, size)
        reply.raw.once('finish', () => subtract(socket, size))
      }
    }
    done(null, payload)
  })
}

/** Bytes of an answer, or characters where it is text; not known of a stream. */
function sizeOf(payload: unknown): number {
  if (payload === undefined || payload === null) return 0
  return typeof payload === 'string' || payload instanceof Uint8Array ? payload.length : Number.POSITIVE_INFINITY
}
