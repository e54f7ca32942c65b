/** The watched values: one reading for each alert, derived from an observation. */
import type { AlertsConfig } from '@eventflow/runtime'
import { FRESH_SECONDS, type Observation } from './observe.js'

/** The value of an alert at one moment. */
export interface Reading {
  alert: string
  /** `undefined` if it could not be read. */
  value: number | undefined
  /** The alert is raised above it, and ends at half of it. */
  threshold: number
  /** The text of the notification; it contains no names of events, no keys and no payloads. */
  message: string
}

/** `stalledSeconds`: how long nothing has been settled although there are events to settle. */
export function readingsOf(seen: Observation, stalledSeconds: number | undefined, config: AlertsConfig): Reading[] {
  const { lag, postgresError, redisError, freshDeadLetters } = seen
  const ownerless = lag?.partitions.filter(({ owner }) => owner === null).map(({ partition }) => partition) ?? []
  const late = lag?.partitions.filter(({ lagSeconds }) => lagSeconds > config.EVENTFLOW_ALERT_LAG_SECONDS) ?? []
  const noWorker = lag && lag.workers.length === 0
  return [
    {
      alert: 'postgres-away',
      value: postgresError === undefined ? 0 : 1,
      threshold: 0,
      message: postgresError === undefined ? 'Postgres answers' : `Postgres does not answer: ${postgresError}`,
    },
    {
      alert: 'redis-away',
      value: redisError === undefined ? 0 : 1,
      threshold: 0,
      message: redisError === undefined ? 'Redis answers' : `Redis does not answer: ${redisError}`,
    },
    {
      alert: 'no-worker',
      value: lag && Number(noWorker),
      threshold: 0,
      message: noWorker ? 'no worker is running' : `running workers: ${lag?.workers.length}`,
    },
    {
      alert: 'partition-without-owner',
      // Without any worker, `no-worker` already covers this.
      value: noWorker ? undefined : lag && ownerless.length,
      threshold: 0,
      message:
        ownerless.length > 0 ? `partitions without an owner: ${ownerless.join(', ')}` : 'every partition has an owner',
    },
    {
      alert: 'oldest-unsettled',
      value: lag?.oldestUnsettledAgeSeconds,
      threshold: config.EVENTFLOW_ALERT_OLDEST_SECONDS,
      message: `the oldest unsettled event is ${Math.round(lag?.oldestUnsettledAgeSeconds ?? 0)} s old; unsettled events: ${lag?.unsettled}`,
    },
    {
      alert: 'partition-lag',
      value: lag?.lagSeconds,
      threshold: config.EVENTFLOW_ALERT_LAG_SECONDS,
      message:
        late.length > 0
          ? `events have waited ${Math.round(lag?.lagSeconds ?? 0)} s for delivery in partitions ${late.map(({ partition }) => partition).join(', ')}`
          : 'events are delivered in time',
    },
    {
      alert: 'stalled',
      value: stalledSeconds,
      threshold: config.EVENTFLOW_ALERT_STALLED_SECONDS,
      message: stalledSeconds
        ? `nothing has been settled for ${Math.round(stalledSeconds)} s, although there is a backlog`
        : 'events are settled again',
    },
    {
      alert: 'no-part-ahead',
      value: seen.partsAhead === undefined ? undefined : Number(seen.partsAhead === 0),
      threshold: 0,
      message:
        seen.partsAhead === 0
          ? 'the ledger has no part ahead: when the current one is full, events will be refused'
          : 'the ledger has parts ahead',
    },
    {
      alert: 'dead-letters',
      value: freshDeadLetters,
      threshold: config.EVENTFLOW_ALERT_DEAD_LETTERS,
      message: `${freshDeadLetters} dead letters were written in the last ${FRESH_SECONDS / 60} minutes`,
    },
  ]
}
