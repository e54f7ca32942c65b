/** A collector of traces that discards them. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { planOf, sayReady } from '../load/orders.js'

const { port } = planOf<{ port: number }>()
const server = createServer((request, response) => {
  request.resume().on('end', () => response.setHeader('content-type', 'application/x-protobuf').end())
})
await once(server.listen(port, '127.0.0.1'), 'listening')
sayReady()
