/** What a worker says of its health over HTTP. */
import type { Health } from '@eventflow/runtime'
import type { Standstill, WorkerHealth } from './watchdog.js'

/** The health of a worker that works. What only holds up its partitions is no fault of it, and told all the same. */
export function describeHealth({ stalled, heldUp, rival }: WorkerHealth): Health {
  if (rival) {
    const reason = `process ${rival.pid} on ${rival.host} works under the id of this worker, which therefore does nothing`
    return { status: 'superseded', reason, rival, stalled, held_up: heldUp }
  }
  const told = [...stalled, ...heldUp].map(inWords).join('; ')
  return { status: stalled.length > 0 ? 'stalled' : 'ok', ...(told && { reason: told }), stalled, held_up: heldUp }
}

function inWords({ partitions, since, why }: Standstill): string {
  return `partition${partitions.length > 1 ? 's' : ''} ${partitions.join(', ')} settled nothing since ${since}: ${why}`
}
