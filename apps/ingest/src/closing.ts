/** A close waits for the requests in flight, and for nobody else. */
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Gives whether the service is open: from the beginning of its close on it is not. */
export function closePromptly(app: FastifyInstance): () => boolean {
  const sockets = new Set<Socket>()
  let open = true
  app.server.on('connection', (socket: Socket) => {
    if (!open) return void socket.destroy()
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  // A connection that was opened ahead of its first request is not idle to Node, which would wait until that times out.
  app.addHook('preClose', async () => {
    open = false
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
  })
  // A client that keeps its connection alive would hold up the close for as long as it likes.
  app.addHook('onSend', (_, reply, payload, done) => {
    if (!open) reply.header('connection', 'close')
    done(null, payload)
  })
  return () => open
}
