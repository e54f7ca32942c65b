/** Connections below HTTP, to send what no HTTP client sends. */
import { connect, type Socket } from 'node:net'

export interface Dialled {
  socket: Socket
  /** Everything received so far. */
  received: () => string
  /** Everything received, once the connection is closed. */
  closed: Promise<string>
}

/** Connects to a service, from a certain address if one is given. */
export function dialTo(url: string, localAddress?: string): Dialled {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), ...(localAddress && { localAddress }) })
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  // A server may answer and close before everything was sent.
  socket.on('error', () => {})
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => resolve(text))
  })
  return { socket, received: () => text, closed }
}
