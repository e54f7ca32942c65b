/** Free ports are free, and stay free until they are used. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from '@jest/globals'
import { freePort } from './ports.js'

test('a port with a listener is not free; after it is closed it is', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  expect(await freePort(port)).toBeUndefined()
  server.close()
  await once(server, 'close')
  expect(await freePort(port)).toBe(port)
})

test('any port is outside the range that the system assigns', async () => {
  const servers = Array.from({ length: 20 }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const given = servers.map((server) => (server.address() as AddressInfo).port)
  for (const server of servers) server.close()
  const found = await Promise.all(given.map(() => freePort(0)))
  expect(Math.min(...found.map((port) => port!))).toBeGreaterThan(1_023)
  expect(Math.max(...found.map((port) => port!))).toBeLessThan(Math.min(...given))
})
