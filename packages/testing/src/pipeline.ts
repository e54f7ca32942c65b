/** A pipeline for a test: start it, send events, wait until they are settled, look at the database. */
import { resolve } from 'node:path'
import { createClient, type Delivery, type OutgoingEvent } from '@eventflow/client'
import { asSql } from '@eventflow/db'
import { type EventDefinition, loadDefinitions } from '@eventflow/sdk'
import { createDatabase, dropDatabase } from './database.js'
import type { ServerAddresses } from './server-addresses.js'
import { type ServersOptions, serversOfThisProcess } from './servers.js'
import { describeFailure, waitUntilSettled } from './settled.js'
import type { FailedEvent, ProcessedEvent, SettledEvent, WaitOptions } from './settled-event.js'
import { startStack } from './stack.js'

/** Options of {@link startPipeline}. One of `definitions` and `events` is needed; with both, all of them are used. */
export interface PipelineOptions extends ServersOptions {
  /** The event types, as `defineEvent` made them. */
  definitions?: readonly EventDefinition[]
  /** The folder with the event types, as `eventflow up --events` takes it. */
  events?: string
  /** Settings by the names that they have in the environment, such as `EVENTFLOW_HANDLER_TIMEOUT_SECONDS`. */
  settings?: Readonly<Record<string, string>>
  /** From {@link startServers}, possibly of another process. Without it this process starts servers once, for all its pipelines. */
  servers?: ServerAddresses
  /**
   * Gets the log, one line of JSON at a time: warnings and errors, unless `settings` has another `EVENTFLOW_LOG_LEVEL`. Also gets what the
   * servers report while they start.
   */
  log?: (line: string) => void
}

/** That an event was accepted. */
export interface Receipt {
  /** The id under which the event is known from now on: not the one that was sent where that is no UUID. */
  id: string
  /** Whether the same event had been accepted before. */
  duplicate: boolean
}

/** A running pipeline with a database of its own. Other pipelines see nothing of it. */
export interface Pipeline {
  /** Where the HTTP service listens: `http://127.0.0.1:…`. No API key is needed. */
  url: string
  /**
   * Sends an event over HTTP and resolves when it is accepted.
   * @throws EventRejected of `@eventflow/client` when the service refuses the event
   */
  send(event: OutgoingEvent): Promise<Receipt>
  /**
   * Sends events in one request, in their order.
   * @throws EventRejected of `@eventflow/client` when the service refuses one of them; the others may have been accepted
   */
  send(events: readonly OutgoingEvent[]): Promise<Receipt[]>
  /** Waits until the event is settled, and gives it with its result or its failure. */
  settled(event: string | { id: string }, options?: WaitOptions): Promise<SettledEvent>
  /** Waits until the event is processed. @throws Error with the failure when the event fails instead */
  processed<Result = ProcessedEvent['result']>(
    event: string | { id: string },
    options?: WaitOptions,
  ): Promise<ProcessedEvent<Result>>
  /** Waits until the event has failed for good. @throws Error when the event is processed instead */
  failed(event: string | { id: string }, options?: WaitOptions): Promise<FailedEvent>
  /**
   * Runs one SQL statement in the pipeline's database and gives its rows. Numbers that JavaScript would round are texts, as in
   * handlers.
   */
  sql<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Stops the service and the worker, and drops the database. */
  stop(): Promise<void>
}

/**
 * Starts a pipeline with these event types: the HTTP service and a worker in this process, so that breakpoints and stand-ins
 * work, with a database and a part of Redis of its own. The first call in a process takes a few seconds, because it starts Postgres and
 * Redis; each further call well under a second.
 */
export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { settings = {}, log = () => {} } = options
  const definitions = await definitionsOf(options)
  const given = options.servers ?? (await serversOfThisProcess(options))
  const databaseUrl = await createDatabase(given)
  const drop = () => dropDatabase(given, databaseUrl)
  const stack = await startStack({ databaseUrl, redisUrl: given.redis, definitions, settings, log }).catch(
    async (error) => {
      await drop()
      throw error
    },
  )
  const client = createClient({ url: stack.url })
  const settled = (event: string | { id: string }, wait?: WaitOptions) =>
    waitUntilSettled(stack.db, typeof event === 'string' ? event : event.id, wait)

  async function send(events: OutgoingEvent): Promise<Receipt>
  async function send(events: readonly OutgoingEvent[]): Promise<Receipt[]>
  async function send(events: OutgoingEvent | readonly OutgoingEvent[]): Promise<Receipt | Receipt[]> {
    if (!isList(events)) return client.send(events)
    return (await client.sendBatch([...events])).items.map(receiptOf)
  }

  return {
    url: stack.url,
    send,
    settled,
    async processed<Result>(event: string | { id: string }, wait?: WaitOptions) {
      const end = await settled(event, wait)
      if (end.status === 'processed') return end as ProcessedEvent<Result>
      throw new Error(`event ${end.id} (${end.type}) failed: ${describeFailure(end.failure)}`)
    },
    async failed(event, wait) {
      const end = await settled(event, wait)
      if (end.status === 'failed') return end
      throw new Error(`event ${end.id} (${end.type}) did not fail: it was processed`)
    },
    sql: (text, values) => asSql(stack.db).query(text, values),
    async stop() {
      await client.close()
      await stack.stop()
      await drop()
    },
  }
}

async function definitionsOf({ definitions = [], events, log }: PipelineOptions): Promise<EventDefinition[]> {
  const loaded = events === undefined ? undefined : await loadDefinitions(resolve(events), log && { warn: log })
  const all = [...definitions, ...(loaded?.events.values() ?? [])]
  if (all.length === 0) throw new TypeError('a pipeline needs event types: give definitions, or events with a folder')
  return all
}

const isList = (events: OutgoingEvent | readonly OutgoingEvent[]): events is readonly OutgoingEvent[] =>
  Array.isArray(events)

function receiptOf(delivery: Delivery): Receipt {
  if ('error' in delivery) throw delivery.error
  return { id: delivery.id, duplicate: delivery.status === 'duplicate' }
}
