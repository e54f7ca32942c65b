export { planOwnership } from './ownership.js'
export { startWorker, type Worker } from './worker.js'
