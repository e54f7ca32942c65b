/** A connection to Redis for the duration of a command. */
import { connectRedis, type Redis, untilReady } from '@eventflow/redis'
import { UnreachableError } from './addresses.js'

const PATIENCE_MS = 3_000

/**
 * Runs `work` on a connection. Rejects with UnreachableError, which names the address, if Redis refuses the connection.
 */
export async function askRedis<Result>(url: string, work: (redis: Redis) => Promise<Result>): Promise<Result> {
  let refuse = (_: Error) => {}
  const refused = new Promise<never>((_, reject) => {
    refuse = reject
  })
  const redis = connectRedis({ url, onError: (error) => refuse(error) })
  try {
    await Promise.race([untilReady(redis, PATIENCE_MS), refused]).catch((error) => {
      throw new UnreachableError(
        `Redis at ${new URL(url).host}: ${error.message || error.code}\nIs it running, and is REDIS_URL right?`,
      )
    })
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}
