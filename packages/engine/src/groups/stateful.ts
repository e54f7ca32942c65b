/** Windows and joins: consumer groups whose state EventFlow keeps. */
import type { Failure, Micros, Payload } from '@eventflow/core'
import type { Generation, Passed, StateDefinition, Transaction } from '@eventflow/db'
import type { Sql } from '@eventflow/sdk'
import type { LogDelivery } from './delivery.js'

/** An event of the log, and the watermark that it meets. */
export interface Met {
  delivery: LogDelivery
  /** When it happened. */
  time: Micros
  watermark: Micros | undefined
}

/** An event that does not become part of the state. */
export interface Refused {
  delivery: LogDelivery
  failure: Failure
}

/** What a window or a join has found. It is emitted as an event. */
export interface Result {
  /** Describes it in messages: `the window of key 'a' from … to …`. */
  title: string
  /** The partition of the events that led to it. */
  partition: number
  tenantId: string
  /** Unique within the generation of the group. */
  name: string
  key: string
  /** Event time, RFC 3339 in UTC. */
  time: string
  data: Payload
  hops: number
  correlationId?: string
  causationId?: string
  /** Calls the definition's function with the result. */
  call?: (sql: Sql) => unknown
}

/** What became of a batch. */
export interface Applied {
  /** Events that came after the watermark had passed them. */
  late: Met[]
  refused: Refused[]
  results: Result[]
}

/** The part of a group that differs between windows and joins. */
export interface Stateful {
  definition: StateDefinition
  /** What becomes of a late event. */
  late: 'record' | 'dead-letter'
  /** The type of the events that are emitted; undefined if none are. */
  emit: string | undefined
  /** The definition's function for results, by its name; undefined if it has none. */
  calls: string | undefined
  /** Adds events to the state, in the order of the log. */
  apply(tx: Transaction, met: readonly Met[], generation: Generation): Promise<Applied>
  /**
   * Ends what these watermarks have passed, a limited number. Resolves with the results, and with whether there is more.
   * Rejects with an error that says which result could not be made.
   */
  expire(tx: Transaction, passed: readonly Passed[], generation: Generation): Promise<Expired>
  /**
   * Of these results, which lie in what a former generation has read: those that it has not made, because its owner went
   * before, or because its definition had not decided them.
   */
  leftOpen(tx: Transaction, results: readonly Result[], generation: Generation): Promise<Result[]>
}

export interface Expired {
  results: Result[]
  more: boolean
}
