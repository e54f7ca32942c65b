/** Finding a port to listen on. */
import { randomInt } from 'node:crypto'
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
        wish.log(`port ${wish.usual} is in use: ${wish.name} listens on ${port}`)
      }
      return started
    } catch (error) {
      // Another program may take the port between our check and the server's start.
      if (!(error instanceof Error && error.message.includes('Address already in use'))) throw error
    }
  }
  throw new SetupError(`${wish.name}: port ${wish.port ?? wish.usual} is used by another program`)
}

/** Below what a system gives out by itself, be it to who asks for any port or to who connects: 32,768 and up on Linux. */
const FIRST_UNASKED = 10_000
const END_UNASKED = 32_768
const TRIES = 100

/** `port` if it is free on 127.0.0.1 (for 0, a free one that the system does not assign to others), or nothing. */
export async function freePort(port: number): Promise<number | undefined> {
  if (port !== 0) return (await isFree(port)) ? port : undefined
  for (let tries = 0; tries < TRIES; tries++) {
    const candidate = randomInt(FIRST_UNASKED, END_UNASKED)
    if (await isFree(candidate)) return candidate
  }
  return undefined
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

function candidates({ port, usual }: PortWish): number[] {
  if (port === undefined) return [...Array.from({ length: 10 }, (_, step) => usual + step), 0, 0]
  return port === 0 ? [0, 0, 0] : [port]
}
