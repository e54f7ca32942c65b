/**
 * Test your event types against a real pipeline: the HTTP service and a worker in the test's own process, on a Postgres and a
 * Redis that are started for it, without Docker. Works with every test runner.
 *
 * ```ts
 * const pipeline = await startPipeline({ definitions: [orderPlaced] })
 * const { id } = await pipeline.send({ type: 'order.placed', data: { … } })
 * const { result } = await pipeline.processed(id)
 * await pipeline.stop()
 * ```
 *
 * @module testing
 */
export { type Pipeline, type PipelineOptions, type Receipt, startPipeline } from './pipeline.js'
export type { ServerAddresses } from './server-addresses.js'
export { type Servers, type ServersOptions, startServers } from './servers.js'
export type { EventFailure, FailedEvent, ProcessedEvent, SettledEvent, WaitOptions } from './settled-event.js'
