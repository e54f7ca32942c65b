/** The only place that knows Redis. */
export type { Redis } from 'ioredis'
export * from './cache.js'
export { connectRedis, MAX_BLOCK_MS, untilReady } from './connect.js'
export * from './depth.js'
export * from './entry.js'
export * from './group.js'
export * from './lag.js'
export * from './publish.js'
