/**
 * The state of the pipeline as Postgres and the feed know it: whether events flow, how large the lag is, which workers
 * are alive.
 *
 * `readLag(db, feed)` reads the partitions with their owners and lags, the oldest unsettled event and the workers.
 * `readStock(db)` reads what accumulates: dead letters and bytes. `readDependencies(db, feed)` says which dependencies
 * answer. `startTelling` writes the counters of a process to Postgres, for rates of the whole installation.
 * `sparing(read)` wraps a reader so that it can be called as often as needed; `within(ms, …)` limits a wait.
 */
export * from './dependencies.js'
export * from './lag.js'
export * from './sparing.js'
export * from './stock.js'
export * from './telling.js'
export * from './within.js'
