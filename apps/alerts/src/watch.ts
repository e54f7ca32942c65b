/**
 * The monitor: looks every few seconds, raises and clears alerts, and sends one notification of each.
 *
 * A raised alert is a row in Postgres, written before the notification is sent: a restarted monitor, or a second one,
 * continues from it. The row also records what was sent, so that a crash in between can only repeat a message, with the
 * same id. While Postgres is down there can be no row: then the notification is sent at once, and the incident is kept
 * in memory and written when Postgres is back.
 */
import { randomUUID } from 'node:crypto'
import { closeIncident, type Db, type Incident, openIncident, readOpenIncidents } from '@eventflow/db'
import { createRedisMonitor, type Redis } from '@eventflow/redis'
import { type AlertsConfig, type Logger, repeat } from '@eventflow/runtime'
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
  /** Ends after the current look. The next monitor sends what is still unsent. */
  stop(): Promise<void>
}

/** Watches until stopped. */
export function startWatch({ db, redis, config, log, send, everyMs }: WatchDeps): Watch {
  const feed = createRedisMonitor(redis, config.EVENTFLOW_STREAM_PREFIX)
  const turningSince = new Map<string, number | undefined>()
  /** The raised alerts by name: as last read from Postgres, and those not written to it yet. */
  let open = new Map<string, string>()
  const unwritten = new Map<string, { incident: Incident; sent: boolean }>()
  let progress: { value: number | undefined; at: number } = { value: undefined, at: performance.now() }

  async function look(stopping: AbortSignal): Promise<void> {
    const seen = await observe(db, feed)
    const now = performance.now()
    if (seen.postgresError === undefined) {
      await writeUnwritten()
      open = await readOpenIncidents(db)
    }
    for (const reading of readingsOf(seen, stalledSeconds(seen, now), config)) await follow(reading, now, stopping)
  }

  /** An empty backlog counts as progress. Events that wait for a retry are not due yet. */
  function stalledSeconds({ lag, progress: value }: Observation, now: number): number | undefined {
    if (!lag) return undefined
    if (value !== progress.value || lag.unsettled === 0 || lag.workers.length === 0) progress = { value, at: now }
    return (now - progress.at) / 1_000
  }

  async function follow(reading: Reading, now: number, stopping: AbortSignal): Promise<void> {
    const { alert, value, threshold } = reading
    const limits = { above: threshold, below: threshold / 2, forMs: config.EVENTFLOW_ALERT_AFTER_SECONDS * 1_000 }
    const raised = open.has(alert) || unwritten.has(alert)
    const standing: Standing = { raised, turningSince: turningSince.get(alert) }
    const next = judge(standing, value, limits, now)
    // The new state is kept only after the write: if that fails, the next look tries again.
    if (next.raised !== raised) await (next.raised ? raise(reading, stopping) : clear(reading))
    turningSince.set(alert, next.turningSince)
  }

  async function raise({ alert, value = 0, threshold, message }: Reading, stopping: AbortSignal): Promise<void> {
    const incident = { id: randomUUID(), alert, raisedAt: new Date(), raisedWith: { value, threshold, message } }
    const written = await openIncident(db, incident, { sent: false }).catch(() => undefined)
    if (written === false) return // another monitor was first
    log.warn({ alert, incident: incident.id, value, threshold }, `alert: ${message}`)
    if (written) return
    const unknown = { incident, sent: false }
    unwritten.set(alert, unknown)
    await send(raisedMessage(incident), stopping).then(
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

  const failed = (what: string) => (err: unknown) => log.warn({ err }, `${what} failed`)
  // Two loops, so that a slow receiver does not delay the looks.
  const looking = repeat(look, { pauseMs: everyMs, onError: failed('looking') })
  const telling = repeat((stopping) => tellUnsent({ db, send, log }, stopping), {
    pauseMs: everyMs,
    onError: failed('telling'),
  })
  return {
    async stop() {
      await Promise.all([looking.stop(), telling.stop()])
    },
  }
}
