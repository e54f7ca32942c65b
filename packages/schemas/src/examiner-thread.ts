/** The thread in which a schema from outside is examined. */
import { constants, platform, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { examine } from './examination.js'

// Events come first where there are too few processors for both. Elsewhere this is of the whole process.
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_LOW)

const { schema, mode, earlier } = workerData
// How long this took is no fault of the schema.
parentPort!.postMessage('loaded')
parentPort!.postMessage(examine(schema, mode, earlier))
