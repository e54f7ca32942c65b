/** The standby for reads that `DATABASE_REPLICA_URL` names. */
import {
  CONNECTIONS_OF_INGEST,
  connect,
  type Db,
  FALLBACK_REASONS,
  STANDBY_APPLICATION,
  type Standby,
  watchStandby,
} from '@eventflow/db'
import type { IngestConfig, IngestMetrics, Logger } from '@eventflow/runtime'
import type { FastifyInstance } from 'fastify'

export interface StandbyDeps {
  config: IngestConfig
  primary: Db
  log: Logger
  metrics: IngestMetrics
}

/**
 * Opens the standby until the service closes; resolves with undefined if none is set. Rejects if the setting names
 * another database. If the standby does not answer, the service starts without it.
 */
export async function openStandby(
  app: FastifyInstance,
  { config, primary, log, metrics }: StandbyDeps,
): Promise<Standby | undefined> {
  if (config.DATABASE_REPLICA_URL === '') return undefined
  const pool = connect({
    url: config.DATABASE_REPLICA_URL,
    setting: 'DATABASE_REPLICA_URL',
    applicationName: STANDBY_APPLICATION,
    max: CONNECTIONS_OF_INGEST.standby,
    onIdleError: (err) => log.warn({ err }, 'a connection to the standby broke'),
  })
  for (const reason of FALLBACK_REASONS) metrics.standbyFallbacks.inc({ reason }, 0)
  const standby = await watchStandby({
    primary,
    standby: pool,
    onChange(reason) {
      if (reason === undefined) log.info('reads use the standby')
      else log.warn({ reason }, 'reads use the primary instead of the standby')
    },
    onFallback: (reason) => metrics.standbyFallbacks.inc({ reason }),
  }).catch(async (error) => {
    await pool.end()
    throw error
  })
  app.addHook('onClose', async () => {
    standby.stop()
    await pool.end()
  })
  return standby
}
