/** Finds a port to listen on. */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { SetupError } from './setup-error.js'

/** Which port to use. */
export interface PortWish {
  name: string
  /** The only acceptable port; 0 for any. Without it: `usual`, or one near it if that is taken. */
  port: number | undefined
  usual: number
  log: (line: string) => void
}

/** Starts a server on the wished port. Logs it when that is not the usual one. */
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
      // Another process may take the port between our check and the server's start.
      if (!(error instanceof Error && error.message.includes('Address already in use'))) throw error
    }
  }
  throw new SetupError(`${wish.name}: port ${wish.port ?? wish.usual} is used by another program`)
}

/** Below the range that the system assigns automatically to listeners and to clients: 32,768 and up on Linux. */
const FIRST_UNASKED = 10_000
const END_UNASKED = 32_768
const TRIES = 100

/**
 * `port` if it is free on 127.0.0.1, otherwise `undefined`; for 0, a free port that the system never assigns
 * automatically.
 */
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
