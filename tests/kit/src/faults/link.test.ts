/** A link leaves nothing behind that would keep Node from ending. */
import { once } from 'node:events'
import { createServer, type Server, connect as tcpConnect } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { until } from '../until.js'
import { openLink } from './link.js'

const openSockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
const portOf = (server: Server) => (server.address() as { port: number }).port

let target: Server

beforeEach(async () => {
  target = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  await once(target, 'listening')
})

afterEach(() => {
  target.close()
})

async function connected(port: number) {
  const socket = tcpConnect(port, '127.0.0.1')
  socket.on('error', () => {}).resume()
  await once(socket, 'connect')
  return socket
}

test('a connection that is reset at the moment it ends is fully closed', async () => {
  const before = openSockets()
  const link = await openLink(portOf(target))
  // The end of a connection beside the link arrives right after that of the one through it, before the loop turns.
  const bell = createServer((socket) => socket.on('end', () => link.reset()).resume()).listen(0, '127.0.0.1')
  await once(bell, 'listening')
  for (let n = 0; n < 20; n++) {
    const through = await connected(link.port)
    const beside = await connected(portOf(bell))
    through.end()
    beside.end()
    await Promise.all([once(through, 'close'), once(beside, 'close')])
  }
  await link.stop()
  bell.close()
  await until('all sockets are closed', () => openSockets() <= before, 5_000)
  expect(openSockets()).toBeLessThanOrEqual(before)
})
