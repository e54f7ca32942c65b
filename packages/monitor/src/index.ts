/**
 * The pipeline seen from outside, by what Postgres and the feed know of it: whether events flow, how far it is behind,
 * who works.
 *
 * `readLag(db, feed)` gives it once: the partitions with their owners and lags, the oldest unsettled event, the
 * workers. `readStock(db)` gives what piles up: dead letters and bytes. `readDependencies(db, feed)` says who answers.
 * `startTelling` has a process tell what it counts, for rates of the whole. `sparing(read)` makes a reader of any that
 * may be asked as often as one likes; `within(ms, …)` waits no longer.
 */
export * from './dependencies.js'
export * from './lag.js'
export * from './sparing.js'
export * from './stock.js'
export * from './telling.js'
export * from './within.js'
