/** `eventflow lag`: the lag of the pipeline, once or every second. */
import { clearScreenDown, moveCursor } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '@eventflow/db'
import { type PipelineLag, readLag } from '@eventflow/monitor'
import { connectRedis, createRedisMonitor, untilReady } from '@eventflow/redis'
import { type Addresses, UnreachableError } from './addresses.js'
import { unreachable } from './ask-postgres.js'
import { type Print, span, table } from './table.js'

const EVERY_MS = 1_000

/** Options of {@link lag}. */
export interface LagOptions {
  /** Continues until `stop`. */
  watch?: boolean
  json?: boolean
  /** The highest accepted age of the oldest unsettled event. */
  maxSeconds?: number
  print: Print
  /** The terminal on which each reading replaces the previous one; without it, a reading is one line. */
  terminal?: NodeJS.WriteStream | undefined
  stop: AbortSignal
}

/**
 * Prints the lag. Resolves with the exit code of the last reading: 0, 1 if the oldest unsettled event is older than
 * allowed, 2 if Postgres did not answer. Without Redis, everything comes from Postgres.
 */
export async function lag(addresses: Addresses, options: LagOptions): Promise<number> {
  const { watch, maxSeconds = Number.POSITIVE_INFINITY, stop } = options
  const db = connect({ url: addresses.postgres, applicationName: 'eventflow-cli', max: 2, onIdleError: () => {} })
  const redis = connectRedis({ url: addresses.redis, onError: () => {} })
  const show = shower(options)
  let code = 0
  try {
    await untilReady(redis, 1_000).catch(() => {})
    do {
      const reading = await readLag(db, createRedisMonitor(redis, addresses.prefix)).catch(
        (error) => unreachable(addresses.postgres, error) ?? Promise.reject(error),
      )
      const isAway = reading instanceof UnreachableError
      if (isAway && !watch) throw reading
      code = isAway ? 2 : Number(reading.oldestUnsettledAgeSeconds > maxSeconds)
      show(reading)
      if (watch) await delay(EVERY_MS, undefined, { signal: stop }).catch(() => {})
    } while (watch && !stop.aborted)
  } finally {
    redis.disconnect()
    await db.end()
  }
  return code
}

function shower({ watch, json, terminal, print }: LagOptions): (reading: PipelineLag | UnreachableError) => void {
  let drawn = 0
  return (reading) => {
    if (json) return print(JSON.stringify(reading instanceof Error ? { error: reading.message } : reading))
    if (!watch) return print(reading instanceof Error ? reading.message : full(reading))
    if (!terminal) return print(`${new Date().toISOString()}  ${short(reading)}`)
    const text = reading instanceof Error ? reading.message : full(reading)
    moveCursor(terminal, 0, -drawn)
    clearScreenDown(terminal)
    print(text)
    drawn = text.split('\n').length
  }
}

function full(reading: PipelineLag): string {
  const heading = [
    'partition',
    'owner',
    'epoch',
    'source',
    'depth',
    'pending',
    'unsettled',
    'retrying',
    'lag',
    'waiting',
  ]
  const rows = reading.partitions.map((of) => [
    `${of.partition}`,
    of.owner ?? '-',
    `${of.epoch}`,
    of.source,
    `${of.depth ?? '?'}`,
    `${of.pending ?? '?'}`,
    `${of.unsettled}`,
    `${of.retrying}`,
    `${of.lag}`,
    span(of.lagSeconds),
  ])
  const right = heading.filter((name) => name !== 'owner' && name !== 'source')
  return `${table(heading, rows, right)}\n\n${short(reading)}`
}

function short(reading: PipelineLag | UnreachableError): string {
  if (reading instanceof Error) return reading.message.replaceAll('\n', ' ')
  const { unsettled, retrying, lag, lagSeconds, oldestUnsettledAgeSeconds, workers, redisError } = reading
  const behind = `lag ${lag} (${span(lagSeconds)})`
  const settled = `unsettled ${unsettled} (oldest ${span(oldestUnsettledAgeSeconds)}), retrying ${retrying}`
  const redis = redisError === null ? '' : `; Redis does not answer (${redisError}), figures from Postgres only`
  return `${behind}; ${settled}; workers alive: ${workers.length}${redis}`
}
