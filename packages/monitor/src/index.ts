/**
 * The pipeline seen from outside, by what Postgres and Redis know of it: whether events flow, how far it is behind, who works.
 *
 * `readLag(db, redis, prefix)` gives it once: the partitions with their owners and lags, the oldest unsettled event, the
 * workers. `readStock(db)` gives what piles up: dead letters and bytes. `sparing(read)` makes a reader of either that may be
 * asked as often as one likes.
 */
export * from './lag.js'
export * from './sparing.js'
export * from './stock.js'
