/**
 * Everything a user needs to define event types and consumer groups.
 *
 * @module sdk
 */
export {
  type AcceptedEvent,
  type Payload,
  PermanentError,
  type Problem,
  TransientError,
  UnavailableError,
} from '@eventflow/core'
export { type Static, Type } from '@sinclair/typebox'
export { type Circuit, type CircuitOptions, circuitChanges, circuits } from './circuits.js'
export { type ConsumerDefinition, type ConsumerTx, defineConsumer, type EmittedEvent } from './define-consumer.js'
export { defineEvent, type EventDefinition } from './define-event.js'
export { derive } from './derive.js'
export type { Addition, EnrichContext, Enricher, SharedCache, Sql } from './enricher.js'
export type { Fields, Missing } from './fields.js'
export { type HttpLookupOptions, httpLookup } from './http-lookup.js'
export { type LoadedDefinitions, loadDefinitions } from './load-definitions.js'
export { type LookupOptions, lookup } from './lookup.js'
