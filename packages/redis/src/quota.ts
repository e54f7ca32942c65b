/** The token buckets of tenants' quotas, which all ingest processes share. */
import type { Redis } from 'ioredis'

/** A bucket gains `rate` tokens a second, up to `burst`. It may be overdrawn. */
export interface Bucket {
  rate: number
  burst: number
  /** The tokens taken since the last call. */
  spent: number
}

// Uses the clock of Redis, which is the same for all processes. A bucket that would be full by now has expired.
const SPEND = `
  local time = redis.call('TIME')
  local now = time[1] + time[2] / 1e6
  local levels, longest = {}, 1
  for i = 1, #ARGV, 3 do
    local rate, burst, spent = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local last = redis.call('HMGET', KEYS[1], 'level' .. i, 'at')
    local level = last[1] and math.min(burst, last[1] + (now - last[2]) * rate) or burst
    level = level - spent
    redis.call('HSET', KEYS[1], 'level' .. i, string.format('%.6f', level))
    longest = math.max(longest, (burst - level) / rate)
    levels[#levels + 1] = string.format('%.6f', level)
  end
  redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now))
  redis.call('PEXPIRE', KEYS[1], math.ceil(longest * 1000) + 1000)
  return levels`

/**
 * Takes the spent tokens out of a tenant's buckets, and resolves with the remaining level of each. Rejects when Redis
 * is away.
 */
export async function spendQuota(
  redis: Redis,
  prefix: string,
  tenantId: string,
  buckets: readonly Bucket[],
): Promise<number[]> {
  const values = buckets.flatMap(({ rate, burst, spent }) => [rate, burst, spent])
  return ((await redis.eval(SPEND, 1, `${prefix}:quota:${tenantId}`, ...values)) as string[]).map(Number)
}
