/** Metrics and log lines of the dependencies' circuits. */

import type { Logger, WorkerMetrics } from '@eventflow/runtime'
import { type Circuit, circuitChanges, circuits } from '@eventflow/sdk'

const VALUES: Record<Circuit['state'], number> = { closed: 0, 'half-open': 1, open: 2 }

/** Keeps a metric of every circuit of this process, and logs changes of state. */
export function showCircuits(log: Logger, metrics: WorkerMetrics): void {
  const show = ({ name, state }: Circuit) => metrics.circuitState.set({ dependency: name }, VALUES[state])
  circuits().forEach(show)
  circuitChanges.on('change', (circuit) => {
    show(circuit)
    log.warn({ dependency: circuit.name, state: circuit.state }, 'a circuit has changed its state')
  })
}
