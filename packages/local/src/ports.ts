/** Finding a port to listen on. */
import { createServer } from 'node:net'
import { SetupError } from './setup-error.js'

/** Which port is wanted. */
export interface PortWish {
  name: string
  /** The one port that will do; 0 is any. Without it: `usual`, or one near it when that is taken. */
  port: number | undefined
  usual: number
  log: (line: string) => void
}

/** Starts something on the port that was wished for. Tells when that is not the usual one. */
export async function startOnPort<T>(wish: PortWish, start: (port: number) => Promise<T>): Promise<T> {
  for (const candidate of candidates(wish)) {
    const port = await freePort(candidate)
    if (port === undefined) continue
    try {
      const started = await start(port)
      if (wish.port === undefined && port !== wish.usual) {
        wish.log(`port ${wish.usual} is taken: ${wish.name} listens on ${port}`)
      }
      return started
    } catch (error) {
      // Somebody may take the port between our look and the server's.
      if (!(error instanceof Error && error.message.includes('Address already in use'))) throw error
    }
  }
  throw new SetupError(`${wish.name}: port ${wish.port ?? wish.usual} is taken by another program`)
}

/** `port` if it is free on 127.0.0.1 (for 0, one that is), or nothing. */
export function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
    })
  })
}

function candidates({ port, usual }: PortWish): number[] {
  if (port === undefined) return [...Array.from({ length: 10 }, (_, step) => usual + step), 0, 0]
  return port === 0 ? [0, 0, 0] : [port]
}
