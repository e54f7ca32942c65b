/** The worker without its process, for tests; `main.ts` starts it. */
export { startWorker, type Worker } from './worker.js'
