/** How often the connections of a lane to Redis were lost: between two of them Redis may have lost anything. */
import type { Redis } from '@eventflow/redis'

export interface Connections {
  /** Counts them: as long as it stays the same, what was read is what one Redis has said without a break. */
  losses(): number
  stop(): void
}

/** Watches connections. No command need fail: one that comes after the reconnect succeeds as if nothing had been. */
export function watchConnections(connections: readonly Redis[]): Connections {
  let losses = 0
  const onClose = () => {
    losses++
  }
  // Every lane of a worker listens to the connection that they share.
  for (const connection of connections) connection.setMaxListeners(0).on('close', onClose)
  return {
    losses: () => losses,
    stop() {
      for (const connection of connections) connection.off('close', onClose)
    },
  }
}
