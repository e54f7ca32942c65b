/**
 * A link: a TCP proxy on the loopback between one process and one server, which can be made to fail. Swallowed bytes
 * are never sent later: a connection that lost a byte stays silent, also when the link has recovered.
 */
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * - `pass`: everything passes.
 * - `refuse`: connections are reset, and new ones too.
 * - `cut`: a connection is reset when it is next used: before the request passes, before its reply, or after it.
 * - `lose answer`: the answer to the first request that contains `text` is lost, and its connection with it; once. With
 *   `after`, only on a connection on which a request with that text went before.
 * - `swallow`: nothing passes and neither side is told: half-open connections.
 * - `slow`: every piece is delayed by `ms`. `trickle`: `bytes` at a time, `ms` apart.
 */
export type LinkMode =
  | { kind: 'pass' | 'refuse' | 'swallow' }
  | { kind: 'cut'; when: 'before the request' | 'before the reply' | 'after the reply' }
  | { kind: 'lose answer'; text: string; after?: string }
  | { kind: 'slow'; ms: number }
  | { kind: 'trickle'; bytes: number; ms: number }

/** Waits for certain traffic and then triggers, once; the triggering piece does not pass. */
export interface Tripwire {
  /** `request`: before it passes. `reply`: it passed and was answered; the answer does not pass. */
  at: 'request' | 'reply'
  /** Text in the request. A named statement has its name in each of its requests, and its text only in the first. */
  text: string
  /** Earlier traffic on the connection, since the last BEGIN. */
  after?: string
  /** Text in the first request of the connection: Postgres is told the application name there. */
  opened?: string
  /** Text in the reply; a pattern if an answer to another request of the connection could contain the same text. */
  reply?: string | RegExp
  spring(evidence: Evidence): void
}

/** The traffic before: the requests of the transaction, or the one request, and the answer. */
export interface Evidence {
  request: string
  reply: string
}

export interface Link {
  /** The port for its process. */
  port: number
  mode: LinkMode
  tripwire: Tripwire | undefined
  /** The server's port, used by new connections. */
  target: number
  /** Resets every connection. */
  reset(): void
  stop(): Promise<void>
}

/**
 * How long a silent connection is kept open on the server's side, in milliseconds: the server is not told of its end.
 */
const SILENT_FOR_MS = 30_000

interface Connection {
  client: Socket
  server: Socket
  silent: boolean
  /** Its next answer is lost. */
  losing: boolean
  /** A request with the text `after` has passed. */
  armed: boolean
  /** Its first request. */
  opening: string
  /** While there is a tripwire: its last request, and the traffic before that since the last BEGIN. */
  asked: string
  before: string
  /** It has triggered a tripwire. */
  over: boolean
}

/** Opens a link to a port of this machine. */
export async function openLink(target: number): Promise<Link> {
  const connections = new Set<Connection>()
  const listener = createServer((client) => {
    if (link.mode.kind === 'refuse') return reset(client)
    const server = tcpConnect(link.target, '127.0.0.1')
    const connection = {
      client,
      server,
      silent: false,
      losing: false,
      armed: false,
      opening: '',
      asked: '',
      before: '',
      over: false,
    }
    connections.add(connection)
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', () => {})
    relay(connection, client, server, 'request')
    relay(connection, server, client, 'reply')
    client.on('close', () => {
      if (connection.silent) setTimeout(() => server.destroy(), SILENT_FOR_MS).unref()
      else server.destroy()
      connections.delete(connection)
    })
    server.on('close', () => {
      if (!connection.silent) client.destroy()
    })
  })

  function relay(connection: Connection, from: Socket, to: Socket, direction: 'request' | 'reply'): void {
    let last = Promise.resolve()
    let waiting = 0
    from.on('data', (piece) => {
      const { mode } = link
      if (mode.kind === 'swallow') connection.silent = true
      if (connection.silent || connection.over) return
      if (direction === 'request') connection.opening ||= piece.toString()
      if (link.tripwire && springs(link.tripwire, connection, direction, piece)) {
        const { spring, at } = link.tripwire
        link.tripwire = undefined
        connection.over = true
        spring({ request: connection.before + connection.asked, reply: at === 'reply' ? piece.toString() : '' })
        return
      }
      if (mode.kind === 'cut' && mode.when === 'before the request' && direction === 'request') return cut(connection)
      if (mode.kind === 'cut' && mode.when === 'before the reply' && direction === 'reply') return cut(connection)
      if (mode.kind === 'refuse' || (connection.losing && direction === 'reply')) return cut(connection)
      if (mode.kind === 'lose answer' && direction === 'request') {
        connection.armed ||= mode.after === undefined || piece.includes(mode.after)
        connection.losing = connection.armed && piece.includes(mode.text)
        if (connection.losing) link.mode = { kind: 'pass' }
      }
      if (waiting === 0 && mode.kind !== 'slow' && mode.kind !== 'trickle') forward(from, to, piece)
      else {
        waiting++
        last = last.then(() => forwardLate(to, piece, mode)).finally(() => waiting--)
      }
      if (mode.kind === 'cut' && mode.when === 'after the reply' && direction === 'reply') {
        connection.client.end(() => cut(connection))
      }
    })
  }

  const link: Link = {
    port: 0,
    mode: { kind: 'pass' },
    tripwire: undefined,
    target,
    reset() {
      for (const connection of connections) cut(connection)
    },
    async stop() {
      this.reset()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(0, '127.0.0.1', resolve)
  })
  const address = listener.address()
  link.port = typeof address === 'object' && address ? address.port : 0
  return link
}

function springs(tripwire: Tripwire, connection: Connection, direction: 'request' | 'reply', piece: Buffer): boolean {
  if (direction === 'request') {
    const text = piece.toString()
    connection.before = tripwire.after && !text.includes('BEGIN') ? connection.before + connection.asked : ''
    connection.asked = text
  }
  if (direction !== tripwire.at || !connection.asked.includes(tripwire.text)) return false
  if (tripwire.after && !connection.before.includes(tripwire.after)) return false
  if (tripwire.opened && !connection.opening.includes(tripwire.opened)) return false
  const { reply = '' } = tripwire
  return direction === 'request' || (typeof reply === 'string' ? piece.includes(reply) : reply.test(piece.toString()))
}

function cut({ client, server }: Connection): void {
  reset(client)
  reset(server)
}

/**
 * Resets a connection; one that is about to end is only closed. The system then refuses to reset it; Node never closes
 * a socket that it could not reset, and at exit waits for it for ever, using a full processor.
 */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

function forward(from: Socket, to: Socket, piece: Buffer): void {
  if (to.destroyed || to.write(piece)) return
  from.pause()
  to.once('drain', () => from.resume())
}

async function forwardLate(to: Socket, piece: Buffer, mode: LinkMode): Promise<void> {
  if (mode.kind === 'slow') await delay(mode.ms)
  const size = mode.kind === 'trickle' ? mode.bytes : piece.length
  for (let at = 0; at < piece.length && !to.destroyed; at += size) {
    if (mode.kind === 'trickle') await delay(mode.ms)
    to.write(piece.subarray(at, at + size))
  }
}

/** The address of a server through a link: the same except for the port. */
export function withPort(url: string, port: number): string {
  const changed = new URL(url)
  changed.port = `${port}`
  return changed.href
}
