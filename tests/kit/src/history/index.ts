/** The history of a run, and the checker that judges it. */
export * from './checker.js'
export * from './clients.js'
export { rowsOf } from './each-row.js'
export * from './journal.js'
export * from './observe.js'
export * from './rows.js'
export * from './verdict.js'
export * from './watch.js'
