/** A keep-alive HTTP connection with minimal work per request: one write, one look at the answer. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Connection {
  /** Sends a request and resolves when its answer has arrived; throws if that is not 2xx. One at a time. */
  send(request: Buffer): Promise<void>
  close(): void
}

interface Waiting {
  answered: () => void
  failed: (error: Error) => void
}

const closed = () => new Error('the connection was closed')

const END_OF_HEAD = '\r\n\r\n'

/** Opens a connection to `url`. */
export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url)
  const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  let waiting: Waiting | undefined
  let received: Buffer | undefined
  /** Missing bytes of the answer; `undefined` until its head has arrived. */
  let missing: number | undefined
  let problem: string | undefined

  function read(chunk: Buffer): void {
    if (missing === undefined) {
      received = received ? Buffer.concat([received, chunk]) : chunk
      const end = received.indexOf(END_OF_HEAD)
      if (end < 0) return
      const head = received.toString('latin1', 0, end)
      if (!/^HTTP\/1.1 2/.test(head)) problem = received.toString()
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
      if (Number.isNaN(length)) problem = `an answer without content-length:\n${head}`
      missing = length - (received.length - end - END_OF_HEAD.length)
    } else missing -= chunk.length
    if (missing > 0) return
    missing = undefined
    received = undefined
    if (problem === undefined) waiting?.answered()
    else waiting?.failed(new Error(problem))
  }

  socket.on('data', read)
  socket.on('error', (error) => waiting?.failed(error))
  socket.on('close', () => waiting?.failed(closed()))
  return {
    send: (request) =>
      new Promise((answered, failed) => {
        if (socket.destroyed) return failed(closed())
        waiting = { answered, failed }
        socket.write(request)
      }),
    close: () => socket.destroy(),
  }
}
