/** The thread in which schemas from outside are examined. */
import { constants, platform, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

// Events come first where there are too few processors for both. On other systems this would slow the whole process down.
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_LOW)

const { examine } = await import('./examination.js')
const { faultsIn } = await import('./safe-schema.js')
parentPort!.on('message', ({ schema, mode, earlier }) => {
  // The time limit starts here: the wait for this thread does not count against the schema.
  parentPort!.postMessage('begun')
  const faults = faultsIn(schema)
  parentPort!.postMessage(faults.length > 0 ? { faults, incompatibilities: [] } : examine(schema, mode, earlier))
})
