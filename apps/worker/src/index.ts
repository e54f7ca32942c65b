/** The worker without its process, for tests; `main.ts` starts it. */
export { removeOld } from './retention.js'
export { startWorker, type Worker } from './worker.js'
