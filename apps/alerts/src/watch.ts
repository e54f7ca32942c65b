/**
 * The monitor: looks every few seconds, raises and clears alerts, and has somebody told once of each.
 *
 * What is raised is a row in Postgres, written before anybody is told: a monitor that is started again, or a second one,
 * goes on where the first was. The row says too who has been told, so that a crash in between can only tell twice, with the
 * same id. While Postgres is away there can be no row: then the incident is told at once, kept in memory, and written
 * when Postgres is back.
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
  /** The pause between two looks, in milliseconds. */
  everyMs: number
}

export interface Watch {
  /** Ends after the look under way. What nobody has been told of yet is told by the next monitor. */
  stop(): Promise<void>
}

/** Watches from now on until stopped. */
export function startWatch({ db, redis, config, log, send, everyMs }: WatchDeps): Watch {
  const feed = createRedisMonitor(redis, config.EVENTFLOW_STREAM_PREFIX)
  const turningSince = new Map<string, number | undefined>()
  /** What is on, by the name of its alert: as Postgres said last, and what it could not be told. */
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

  /** Nothing to do is as good as progress. What waits for a retry is not to be done yet. */
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
    // Before it is written: if that fails, it is tried again at the next look.
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
      (err) => log.error({ err, alert }, 'nobody could be told of an alert; it is tried again when Postgres is back'),
    )
  }

  async function clear({ alert, value = 0, threshold, message }: Reading): Promise<void> {
    const id = open.get(alert)
    if (!id || !(await closeIncident(db, id, { value, threshold, message }))) return
    log.info({ alert, incident: id, value, threshold }, `alert is over: ${message}`)
  }

  async function writeUnwritten(): Promise<void> {
    for (const [alert, { incident, sent }] of unwritten) {
      await openIncident(db, incident, { sent })
      unwritten.delete(alert)
    }
  }

  const failed = (what: string) => (err: unknown) => log.warn({ err }, `${what} failed`)
  // Two loops: a slow receiver must not keep us from looking.
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
