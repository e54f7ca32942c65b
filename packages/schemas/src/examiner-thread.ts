/** The thread in which schemas from outside are examined. */
import { constants, platform, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

// Events come first where there are too few processors for both. Elsewhere this would be of the whole process.
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_LOW)

const { examine } = await import('./examination.js')
const { faultsIn } = await import('./safe-schema.js')
parentPort!.on('message', ({ schema, mode, earlier }) => {
  // How long it took to come here is no fault of the schema.
  parentPort!.postMessage('begun')
  const faults = faultsIn(schema)
  parentPort!.postMessage(faults.length > 0 ? { faults, incompatibilities: [] } : examine(schema, mode, earlier))
})
