/** Accepting events: they are stored in Postgres first, then published to the stream of their partition. */
export { type Acceptor, createAcceptor, NotAcceptedError } from './accept.js'
export { type Announce, createAnnouncer } from './announce.js'
export { createShares } from './shares.js'
export { type Outcome, type Receipt, sameContent } from './store.js'
