/**
 * Connections to Redis that fail fast: everything in Redis can be restored from Postgres, so an early error is better
 * than a late answer.
 */
import { Redis } from 'ioredis'

/** The longest wait of a blocking read, in milliseconds. */
export const MAX_BLOCK_MS = 2_000

export interface ConnectOptions {
  url: string
  /** Called when the connection fails; it reconnects automatically. */
  onError: (error: Error) => void
  /** Opens a connection for blocking reads: no command may take longer than a little over MAX_BLOCK_MS. */
  blocking?: boolean
}

/**
 * Opens a connection. Without a connection, a command fails at once (`enableOfflineQueue: false` also bounds memory). A
 * command whose reply was lost fails and is not sent again (`maxRetriesPerRequest: 0`), because a repeated XADD would
 * add a second entry. `socketTimeout` detects a half-open socket; the other timeouts of ioredis would keep the dead
 * connection.
 */
export function connectRedis({ url, onError, blocking = false }: ConnectOptions): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: true,
    socketTimeout: blocking ? MAX_BLOCK_MS + 1_000 : 2_000,
    connectTimeout: 2_000,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  // Reported once for each outage: every attempt to reconnect fails with the same message.
  let reported = false
  redis.on('error', (error) => {
    if (!reported) onError(error)
    reported = true
  })
  redis.on('ready', () => {
    reported = false
  })
  return redis
}

/** Waits until a connection is ready. Rejects after `timeoutMs` milliseconds. */
export async function untilReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve, reject) => {
    const onReady = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(() => {
      redis.off('ready', onReady)
      reject(new Error(`Redis was not ready within ${timeoutMs} ms`))
    }, timeoutMs)
    redis.once('ready', onReady)
  })
}
