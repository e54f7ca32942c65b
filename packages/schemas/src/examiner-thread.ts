/** The thread that examines schemas that came over HTTP. */
import { constants, platform, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

// Events take precedence if there are too few cores for both. On other systems this would lower the priority of the
// whole process.
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_LOW)

const { examine } = await import('./examination.js')
const { faultsIn } = await import('./safe-schema.js')
parentPort!.on('message', ({ schema, mode, earlier }) => {
  // The time limit starts here, so that the wait for this thread does not count against the schema.
  parentPort!.postMessage('begun')
  const faults = faultsIn(schema)
  parentPort!.postMessage(faults.length > 0 ? { faults, incompatibilities: [] } : examine(schema, mode, earlier))
})
