/**
 * Starts the monitor that raises alerts: wire, watch, stop. It starts without Postgres and Redis, because it has to
 * report their outages.
 */
import { connect } from '@eventflow/db'
import { connectRedis } from '@eventflow/redis'
import {
  AlertsConfig,
  ConfigError,
  createLog,
  readConfig,
  redacted,
  stopOnSignal,
  switchLevelOnSignal,
} from '@eventflow/runtime'
import { startWatch } from './watch.js'
import { createWebhook } from './webhook.js'

const EVERY_MS = 5_000

try {
  const config = readConfig(AlertsConfig)
  const { EVENTFLOW_ALERT_WEBHOOK_URL: url, EVENTFLOW_ALERT_WEBHOOK_SECRET: secret } = config
  if (url && !secret) {
    throw new ConfigError('EVENTFLOW_ALERT_WEBHOOK_SECRET is missing: the receiver needs it to check who sent an alert')
  }
  const log = createLog('alerts', config)
  switchLevelOnSignal(log)
  log.info({ config: redacted(config) }, 'starting')
  const db = connect({
    url: config.DATABASE_URL,
    applicationName: 'eventflow-alerts',
    max: 4,
    onIdleError: (err) => log.warn({ err }, 'a connection to Postgres broke'),
  })
  const redis = connectRedis({ url: config.REDIS_URL, onError: (err) => log.warn({ err }, 'Redis') })
  const send = url ? createWebhook(url, secret) : async () => {} // the log already has it
  const watch = startWatch({ db, redis, config, log, send, everyMs: EVERY_MS })
  log.info('watching')

  stopOnSignal(
    log,
    config.EVENTFLOW_SHUTDOWN_TIMEOUT_MS,
    [
      { name: 'watch', stop: () => watch.stop() },
      { name: 'redis', stop: async () => redis.disconnect() },
      { name: 'postgres', stop: () => db.end() },
    ],
    process.exit,
  )
} catch (error) {
  console.error(`eventflow-alerts cannot start: ${(error as Error).message}`)
  process.exit(1)
}
