/** The engine of a worker: reads events from its partitions, processes and settles them. `apps/worker` starts it. */
export { idleTimeoutOf } from './ownership/ownership.js'
export { removeOld } from './ownership/retention.js'
export { takeUpNext } from './partition/catch-up.js'
export { newMemory, newPartition, type PartitionIn } from './partition/partition.js'
export { positionOf } from './partition/scans.js'
export { showCircuits } from './watch/circuits.js'
export { describeHealth } from './watch/health.js'
export { startWorker, type Worker } from './worker.js'
