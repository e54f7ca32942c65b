export * from './event.js'
export * from './failure.js'
export * from './retry-policy.js'
