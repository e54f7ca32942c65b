/** Postgres and Redis for `npm start` and the tests, without Docker and without root. */
export { freePort } from './ports.js'
export { startPostgres } from './postgres.js'
export { startRedis } from './redis.js'
export type { LocalServer } from './server-process.js'
export { SetupError } from './setup-error.js'
