/** The worker without its process, for tests; `main.ts` starts it. */
export { takeUpNext } from './catch-up.js'
export { newPartition } from './partition.js'
export { removeOld } from './retention.js'
export { positionOf } from './scans.js'
export { startWorker, type Worker } from './worker.js'
