/** The load generator: HTTP over raw sockets, in a separate process. */
import { openConnection } from '../load/connection.js'
import { runOpenLoop } from '../load/open-loop.js'
import { planOf, repeat, takeOrders } from '../load/orders.js'
import { prepareRequest, type RequestKind } from '../load/request.js'
import { Latencies } from '../statistics.js'

/** The connections are spread over the URLs. */
export interface HttpLoad extends RequestKind {
  urls: string[]
  connections: number
}

const plan = planOf<HttpLoad>()
const lanes = await Promise.all(
  Array.from({ length: plan.connections }, async (_, lane) => ({
    connection: await openConnection(plan.urls[lane % plan.urls.length]!),
    nextRequest: prepareRequest(plan),
  })),
)
/** While the gate is closed, no request begins. */
let gate = Promise.resolve()
let openGate = () => {}

process.on('message', ({ pause }: { pause?: boolean }) => {
  if (pause === undefined) return
  openGate()
  if (!pause) return
  gate = new Promise((open) => {
    openGate = open
  })
})

takeOrders(async (order, count) => {
  const send = async (lane: number) => {
    await gate
    const { connection, nextRequest } = lanes[lane]!
    await connection.send(nextRequest())
  }
  if ('rate' in order && order.rate !== undefined)
    return runOpenLoop({ ...order, rate: order.rate }, lanes.length, send)

  const latencies = new Latencies()
  const report = await repeat(order, { lanes: lanes.length, size: plan.batch }, count, async (lane) => {
    const startedAt = performance.now()
    await send(lane)
    latencies.record(performance.now() - startedAt)
  })
  return { ...report, latency: latencies.percentiles() }
})
