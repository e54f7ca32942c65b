/** The health of a worker, as its HTTP endpoint reports it. */
import type { Health } from '@eventflow/runtime'
import type { Standstill, WorkerHealth } from './watchdog.js'

/** Describes the health of a worker. Partitions that are held up are reported, but do not make the worker unhealthy. */
export function describeHealth({ stalled, heldUp, rival }: WorkerHealth): Health {
  if (rival) {
    const reason = `process ${rival.pid} on ${rival.host} uses the id of this worker, so this worker does nothing`
    return { status: 'superseded', reason, rival, stalled, held_up: heldUp }
  }
  const reason = [...stalled, ...heldUp].map(inWords).join('; ')
  return { status: stalled.length > 0 ? 'stalled' : 'ok', ...(reason && { reason }), stalled, held_up: heldUp }
}

function inWords({ partitions, since, why }: Standstill): string {
  return `partition${partitions.length > 1 ? 's' : ''} ${partitions.join(', ')} settled nothing since ${since}: ${why}`
}
