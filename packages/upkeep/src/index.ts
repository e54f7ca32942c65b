/** Keeps the ledger in order while the pipeline runs. */

export { startKeepingBuckets } from './buckets.js'
export { startMakingParts } from './parts.js'
export { startRemovingStateHistory } from './state-history.js'
