/** Listens on one address, with a queue for many simultaneous connections. */
import { lookup } from 'node:dns/promises'
import type { FastifyInstance } from 'fastify'

/**
 * Connections that may wait to be accepted; the system may allow fewer (net.core.somaxconn). A short burst can fill
 * Node's default of 511. Then the kernel drops connections, and each client tries again after 1, 3 and 7 seconds.
 */
const BACKLOG = 4_096

/**
 * Listens, and resolves with the address. `localhost` may have two addresses, and Fastify would serve the second one
 * without our limits. Rejects if the port is taken.
 */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  const address = host === 'localhost' ? (await lookup(host)).address : host
  return app.listen({ host: address, port, backlog: BACKLOG })
}
