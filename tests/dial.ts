/** Connections below HTTP: to send what no client sends. */
import { connect, type Socket } from 'node:net'

export interface Dialled {
  socket: Socket
  /** What has come back so far. */
  received: () => string
  /** All that came back, once it is closed. */
  closed: Promise<string>
}

/** A connection of its own to a service, from a certain address where one is given. */
export function dialTo(url: string, localAddress?: string): Dialled {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), ...(localAddress && { localAddress }) })
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  // A server that has said what it has to say may close before everything was sent.
  socket.on('error', () => {})
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => resolve(text))
  })
  return { socket, received: () => text, closed }
}
