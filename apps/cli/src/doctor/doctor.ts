/** `eventflow doctor`: checks for known problems and suggests a fix for each. */
import { printable } from '@eventflow/core'
import { renewIncarnation } from '@eventflow/db'
import { type Addresses, UnreachableError } from '../addresses.js'
import { askPostgres } from '../ask-postgres.js'
import { askRedis } from '../ask-redis.js'
import type { Paint } from '../log-line.js'
import type { Print } from '../table.js'
import { checkStreams, checkTables } from './check-pipeline.js'
import { checkPostgres } from './check-postgres.js'
import { checkRedis } from './check-redis.js'
import { checkStandby } from './check-standby.js'
import { findStrangers, gatherPostgres, gatherRedis, type PostgresFacts, type RedisAndStreams } from './facts.js'
import { type Finding, findings, type Shells } from './finding.js'
import { checkNode } from './host.js'

/** Options of {@link doctor}. */
export interface DoctorOptions {
  shells: Shells
  json?: boolean
  /** Postgres was restored: a new incarnation of the ledger begins first. */
  restored?: boolean
  paint: Paint
  print: Print
}

/**
 * Prints the findings. Resolves with the exit code: 0, 1 if there are errors, 2 if one of the databases does not
 * answer.
 */
export async function doctor(
  addresses: Addresses,
  { shells, json, restored, paint, print }: DoctorOptions,
): Promise<number> {
  if (restored) await askPostgres(addresses.postgres, (db) => renewIncarnation(db, { known: true }))
  const postgres = await reached(askPostgres(addresses.postgres, gatherPostgres))
  const partitions = isReached(postgres) ? (postgres.tables?.ownership.partitions.length ?? 0) : 0
  const redis = await reached(askRedis(addresses.redis, (redis) => gatherRedis(redis, addresses.prefix, partitions)))
  const found = [
    ...checkNode(process.version),
    ...(isReached(postgres) ? checkPostgres(postgres, shells) : away('postgres', postgres)),
    ...(isReached(postgres) ? checkTables(postgres, shells) : []),
    ...(isReached(postgres) ? await checkStandby(addresses) : []),
    ...(isReached(redis) ? checkRedis(redis, shells) : away('redis', redis)),
    ...(await streamFindings(addresses, postgres, redis, shells)),
  ]
  print(json ? printable(JSON.stringify(found)) : shown(found, paint))
  if (!isReached(postgres) || !isReached(redis)) return 2
  return found.some(({ level }) => level === 'error') ? 1 : 0
}

async function streamFindings(
  { postgres: url }: Addresses,
  postgres: PostgresFacts | UnreachableError,
  redis: RedisAndStreams | UnreachableError,
  shells: Shells,
): Promise<Finding[]> {
  if (!isReached(postgres) || !postgres.tables || !isReached(redis)) return []
  const { streams } = redis
  return checkStreams(streams, await askPostgres(url, (db) => findStrangers(db, streams)), shells)
}

/** A database that does not answer is a finding, too: the other one is checked nevertheless. */
function reached<Facts>(gathering: Promise<Facts>): Promise<Facts | UnreachableError> {
  return gathering.catch((error) => {
    if (error instanceof UnreachableError) return error
    throw error
  })
}

function isReached<Facts>(facts: Facts | UnreachableError): facts is Facts {
  return !(facts instanceof UnreachableError)
}

function away(check: string, { message }: UnreachableError): Finding[] {
  const [what = '', fix = ''] = message.split('\n')
  return findings(check, '', [{ level: 'error', message: what, fix }])
}

function shown(found: readonly Finding[], paint: Paint): string {
  const colours = { ok: 'green', warning: 'yellow', error: 'red' } as const
  const width = Math.max(...found.map(({ check }) => check.length))
  const lines = found.map((finding) => {
    const { level, check, message } = finding
    const line = `${paint(colours[level], level.padEnd(7))}  ${check.padEnd(width)}  ${printable(message)}`
    return finding.level === 'ok' ? line : `${line}\n${' '.repeat(9)}${paint('dim', 'fix:')} ${printable(finding.fix)}`
  })
  const count = (level: Finding['level']) => found.filter((finding) => finding.level === level).length
  return [...lines, '', `errors: ${count('error')}, warnings: ${count('warning')}, ok: ${count('ok')}`].join('\n')
}
