/** Checks of the Redis server. */
import type { RedisFacts } from '@eventflow/redis'
import type { RedisAndStreams } from './facts.js'
import { error, type Finding, findings, type Shells, warning } from './finding.js'
import { checkClock, checkDisk, megabytes } from './host.js'

export function checkRedis(facts: RedisAndStreams, shells: Shells): Finding[] {
  return [
    ...checkVersion(facts),
    ...checkKind(facts),
    ...checkEviction(facts, shells),
    ...checkMemory(facts, shells),
    ...checkPersistence(facts, shells),
    ...checkDisk('redis disk', facts.disk),
    ...checkClock('redis clock', facts.clock),
  ]
}

/** XAUTOCLAIM requires 6.2. */
function checkVersion({ version }: RedisFacts): Finding[] {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return findings('redis version', version, [
    (major < 6 || (major === 6 && minor < 2)) &&
      error(`${version} lacks commands that workers need`, 'install Redis 6.2 or newer, or Valkey'),
  ])
}

function checkKind({ cluster, replica, runId }: RedisFacts): Finding[] {
  return findings('redis kind', 'a single, writable server', [
    cluster && error('it is a cluster, which EventFlow does not support', 'point REDIS_URL to a single server'),
    replica && error('it is a replica, which accepts no writes', 'point REDIS_URL to the primary'),
    !runId &&
      warning(
        'it does not report its run_id, so workers cannot tell a restart from a lost connection',
        'use a Redis whose INFO shows run_id',
      ),
  ])
}

function checkEviction({ policy }: RedisFacts, { redisCli }: Shells): Finding[] {
  return findings('redis eviction', policy, [
    policy !== 'noeviction' &&
      error(
        `maxmemory-policy is ${policy}: Redis may delete streams when it runs out of memory`,
        `${redisCli} CONFIG SET maxmemory-policy noeviction && ${redisCli} CONFIG REWRITE`,
      ),
  ])
}

function checkMemory({ maxMemory, usedMemory }: RedisFacts, { redisCli }: Shells): Finding[] {
  if (maxMemory === 0) return findings('redis memory', `${megabytes(usedMemory)} used, no limit`, [])
  const message = `${megabytes(usedMemory)} used of ${megabytes(maxMemory)}`
  const fix = `${redisCli} CONFIG SET maxmemory ${2 * maxMemory} && ${redisCli} CONFIG REWRITE`
  return findings('redis memory', message, [
    usedMemory > 0.8 * maxMemory &&
      warning(`${message}: when it is full, workers read events from Postgres, which is slower`, fix),
  ])
}

/** Everything in Redis can be restored, but that takes time. */
function checkPersistence({ appendOnly, appendFsync, writeFailed }: RedisFacts, { redisCli }: Shells): Finding[] {
  return findings('redis persistence', `append-only file, fsync ${appendFsync ?? 'set by the provider'}`, [
    writeFailed &&
      error(
        'it could not write its data to disk and may refuse writes',
        `${redisCli} INFO persistence   # then make room on its disk`,
      ),
    !appendOnly &&
      warning(
        'the append-only file is off: after each restart of Redis all partitions catch up from Postgres',
        `${redisCli} CONFIG SET appendonly yes && ${redisCli} CONFIG REWRITE`,
      ),
  ])
}
