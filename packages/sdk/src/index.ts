/**
 * Everything a user needs to define event types, consumer groups, windows and joins.
 *
 * @module sdk
 */
export {
  type AcceptedEvent,
  type Aggregate,
  avg,
  type CalendarUnit,
  type CustomAggregate,
  calendar,
  count,
  custom,
  type ExactNumber,
  type FixedWindows,
  hopping,
  type JoinBounds,
  type JoinKind,
  type JoinMatch,
  max,
  min,
  type NumberOf,
  type Payload,
  PermanentError,
  type Problem,
  type SessionWindows,
  session,
  sum,
  TransientError,
  tumbling,
  UnavailableError,
  type Windows,
  type WrittenEventTime,
} from '@eventflow/core'
export { type Static, Type } from '@sinclair/typebox'
export { type Circuit, type CircuitOptions, circuitChanges, circuits } from './circuits.js'
export { type ConsumerDefinition, type ConsumerTx, defineConsumer, type EmittedEvent } from './define-consumer.js'
export { defineEvent, type EventDefinition } from './define-event.js'
export { defineJoin, type JoinDefinition, type JoinedLeft, type JoinedRight } from './define-join.js'
export { defineWindow, type WindowDefinition, type WindowResult } from './define-window.js'
export { derive } from './derive.js'
export type { Addition, EnrichContext, Enricher, SharedCache, Sql } from './enricher.js'
export type { Fields, Missing } from './fields.js'
export { type HttpLookupOptions, httpLookup } from './http-lookup.js'
export { type LoadedDefinitions, loadDefinitions } from './load-definitions.js'
export { type LookupOptions, lookup } from './lookup.js'
