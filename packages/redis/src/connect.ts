/**
 * Connections to Redis that fail fast: everything in Redis is a hint, so a late answer is worth less than an early
 * error.
 */
import { Redis } from 'ioredis'

/** How long a blocking read waits for entries at the most, in milliseconds. */
export const MAX_BLOCK_MS = 2_000

export interface ConnectOptions {
  url: string
  /** Told when the connection fails; it reconnects by itself. */
  onError: (error: Error) => void
  /** Makes a connection for blocking reads: no command on it may take longer than MAX_BLOCK_MS and a little. */
  blocking?: boolean
}

/**
 * Opens a connection. A command fails at once while there is no connection (`enableOfflineQueue: false` bounds memory),
 * and a command whose reply was lost fails instead of being sent again (`maxRetriesPerRequest: 0`): a repeated XADD is
 * a second entry. A half-open socket is found by `socketTimeout`; the other timeouts of ioredis would keep the dead
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
  // Told once an outage: each attempt to connect again fails with the same words.
  let told = false
  redis.on('error', (error) => {
    if (!told) onError(error)
    told = true
  })
  redis.on('ready', () => {
    told = false
  })
  return redis
}

/** Waits until a connection can be used. Rejects after `timeoutMs`. */
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
