/** Listening: on one address, with room for all who come at once. */
import { lookup } from 'node:dns/promises'
import type { FastifyInstance } from 'fastify'

/**
 * Connections that wait to be taken; the system may allow fewer (net.core.somaxconn). With Node's 511 a busy moment is
 * enough to fill it. Then the kernel drops what comes, and each client tries again after 1, 3 and 7 seconds.
 */
const BACKLOG = 4_096

/**
 * Listens, and gives the address. Of two addresses that `localhost` may have, Fastify would serve the second one
 * without our limits.
 */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  const address = host === 'localhost' ? (await lookup(host)).address : host
  return app.listen({ host: address, port, backlog: BACKLOG })
}
