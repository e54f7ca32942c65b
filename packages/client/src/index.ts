/**
 * The producer SDK: sends events so that a retry can never duplicate one.
 *
 * ```ts
 * const client = createClient({ url: 'http://127.0.0.1:8000' })
 * await client.send({ type: 'order.created', partitionkey: 'user-7', data: { … } })      // stored now, or an error
 *
 * const producer = await client.producer({ spool: { path: './events.spool' } })
 * const { delivery } = await producer.enqueue({ type: 'order.created', data: { … } })    // batched, in order, spooled
 * await producer.close()
 * await client.close()
 * ```
 *
 * @module client
 */
export { type BatchResult, type Client, type ClientOptions, createClient, type Summary } from './client.js'
export { type Delivery, EventText, type OutgoingEvent } from './event.js'
export { type FileRow, readEventFile, readEventLines } from './event-file.js'
export { EventRejected, type Problem, RequestFailed } from './failure.js'
export type {
  Group,
  GroupDeadLetter,
  GroupDeadLetterOrder,
  GroupDryRun,
  GroupLag,
  GroupOperator,
  GroupReset,
  GroupState,
  GroupTarget,
  ResetDryRun,
  WholeGroup,
} from './groups.js'
export type { RequestReport } from './http.js'
export type { DeadLetter, DeadLetterAction, DeadLetterFilter, DryRun, EventSearch, Page } from './lists.js'
export {
  createLogReader,
  type FollowOptions,
  type GroupPositions,
  type LogCommit,
  type LogEvent,
  type LogPage,
  type LogQuery,
  type LogReader,
} from './log-reader.js'
export {
  createOperator,
  type DeadLetterGroup,
  type DeadLetterOrder,
  type ListedEvent,
  type Operation,
  type Operator,
  type SchemaCheck,
  type SchemaSummary,
  type SchemaVersion,
  type SchemaVersions,
  type WholeEvent,
} from './operator.js'
export type { Producer, ProducerOptions, Queued } from './producer.js'
export type { LateDelivery } from './store-and-forward.js'
export type {
  JoinOperator,
  JoinSummary,
  LateEvent,
  LateFilter,
  OpenWindow,
  ResultFilter,
  WaitingJoinEvent,
  Watermark,
  WindowOperator,
  WindowResult,
  WindowSummary,
} from './windows.js'
