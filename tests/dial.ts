/** Connections below HTTP: to send what no client sends. */
import { connect, type Socket } from 'node:net'

export interface Dialled {
  socket: Socket
  /** What has come back so far. */
  received: () => string
  /** All that came back, once it is closed. */
  closed: Promise<string>
}

/** A connection of its own to a service. */
export function dialTo(url: string): Dialled {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
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
