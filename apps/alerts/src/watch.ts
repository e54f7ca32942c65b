/**
 * The monitor: reads the pipeline every few seconds, raises and clears alerts, and sends each once.
 *
 * A raised alert is a row in Postgres, written before it is sent: a restarted or a second monitor continues from there.
 * The row also records what was sent, so that a crash in between can only send a message twice, with the same id. While
 * Postgres is down no row can be written: then the incident is sent at once, kept in memory, and written later.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { closeIncident, type Db, type Incident, openIncident, readOpenIncidents } from '@eventflow/db'
import type { Redis } from '@eventflow/redis'
import type { AlertsConfig, Logger } from '@eventflow/runtime'
import { judge, type Standing } from './judge.js'
import { type Observation, observe } from './observe.js'
import { type Reading, readingsOf } from './readings.js'
import { raisedMessage, tellUnsent } from './tell.js'
import type { Send } from './webhook.js'

export interface WatchDeps {
  db: Db
  redis: Redis
  config: AlertsConfig
  log: Logger
  send: Send
  /** The pause between two readings, in milliseconds. */
  everyMs: number
}

export interface Watch {
  /** Stops after the current reading. Unsent messages are left to the next monitor. */
  stop(): Promise<void>
}

/** Watches from now on until stopped. */
export function startWatch({ db, redis, config, log, send, everyMs }: WatchDeps): Watch {
  const stopping = new AbortController()
  const turningSince = new Map<string, number | undefined>()
  /** The open incidents by alert: as last read from Postgres, and those not written to it yet. */
  let open = new Map<string, string>()
  const unwritten = new Map<string, { incident: Incident; sent: boolean }>()
  let progress: { value: number | undefined; at: number } = { value: undefined, at: performance.now() }

  async function look(): Promise<void> {
    const seen = await observe(db, redis, config.EVENTFLOW_STREAM_PREFIX)
    const now = performance.now()
    if (seen.postgresError === undefined) {
      await writeUnwritten()
      open = await readOpenIncidents(db)
    }
    for (const reading of readingsOf(seen, stalledSeconds(seen, now), config)) await follow(reading, now)
  }

  /** An empty backlog counts as progress. Events that await a retry do not count as backlog here. */
  function stalledSeconds({ lag, progress: value }: Observation, now: number): number | undefined {
    if (!lag) return undefined
    if (value !== progress.value || lag.unsettled === 0 || lag.workers.length === 0) progress = { value, at: now }
    return (now - progress.at) / 1_000
  }

  async function follow(reading: Reading, now: number): Promise<void> {
    const { alert, value, threshold } = reading
    const limits = { above: threshold, below: threshold / 2, forMs: config.EVENTFLOW_ALERT_AFTER_SECONDS * 1_000 }
    const raised = open.has(alert) || unwritten.has(alert)
    const standing: Standing = { raised, turningSince: turningSince.get(alert) }
    const next = judge(standing, value, limits, now)
    // Before the standing changes: if this fails, the next reading tries again.
    if (next.raised !== raised) await (next.raised ? raise(reading) : clear(reading))
    turningSince.set(alert, next.turningSince)
  }

  async function raise({ alert, value = 0, threshold, message }: Reading): Promise<void> {
    const incident = { id: randomUUID(), alert, raisedAt: new Date(), raisedWith: { value, threshold, message } }
    const written = await openIncident(db, incident, { sent: false }).catch(() => undefined)
    if (written === false) return // another monitor was first
    log.warn({ alert, incident: incident.id, value, threshold }, `alert: ${message}`)
    if (written) return
    const unknown = { incident, sent: false }
    unwritten.set(alert, unknown)
    await send(raisedMessage(incident), stopping.signal).then(
      () => {
        unknown.sent = true
      },
      (err) => log.error({ err, alert }, 'an alert could not be sent; trying again when Postgres answers'),
    )
  }

  async function clear({ alert, value = 0, threshold, message }: Reading): Promise<void> {
    const id = open.get(alert)
    if (!id || !(await closeIncident(db, id, { value, threshold, message }))) return
    log.info({ alert, incident: id, value, threshold }, `alert cleared: ${message}`)
  }

  async function writeUnwritten(): Promise<void> {
    for (const [alert, { incident, sent }] of unwritten) {
      await openIncident(db, incident, { sent })
      unwritten.delete(alert)
    }
  }

  /** Runs each step in its own loop, so that a slow receiver does not delay the readings. */
  async function repeat(what: string, step: () => Promise<unknown>): Promise<void> {
    while (!stopping.signal.aborted) {
      await step().catch((err) => log.warn({ err }, `${what} failed`))
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = Promise.all([
    repeat('reading the pipeline', look),
    repeat('sending alerts', () => tellUnsent({ db, send, log }, stopping.signal)),
  ])
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}
