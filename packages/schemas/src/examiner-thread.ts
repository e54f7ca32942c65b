/** The thread in which a schema from outside is examined. */
import { parentPort, workerData } from 'node:worker_threads'
import { examine } from './examination.js'

const { schema, mode, earlier } = workerData
// How long this took is no fault of the schema.
parentPort!.postMessage('loaded')
parentPort!.postMessage(examine(schema, mode, earlier))
