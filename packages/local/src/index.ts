/** Postgres, Redis and Prometheus on this machine, without Docker and without root. */
export { freePort } from './ports.js'
export { startPostgres } from './postgres.js'
export { findPrometheus, startPrometheus } from './prometheus.js'
export { startRedis } from './redis.js'
export type { LocalDatabase, LocalServer } from './server-process.js'
export { SetupError } from './setup-error.js'
export { startStandby } from './standby.js'
