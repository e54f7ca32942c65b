/** The operator's client: searches events, replays or discards dead letters, follows operations. */
import { problemOf } from './answer.js'
import { type Problem, RequestFailed } from './failure.js'
import { createGroupOperator, type GroupOperator } from './groups.js'
import { type ConnectionOptions, createConnection, type Method } from './http.js'
import {
  type DeadLetter,
  type DeadLetterAction,
  type DeadLetterFilter,
  type DryRun,
  type EventSearch,
  type Page,
  type PageOptions,
  queryOf,
  type WholeDeadLetter,
} from './lists.js'
import { createWindowOperators, type JoinOperator, type WindowOperator } from './windows.js'

export interface OperatorOptions extends ConnectionOptions {
  /** The operator's name in the audit log, used if no API key identifies the caller. */
  name?: string
}

/** An event in a list. */
export interface ListedEvent {
  id: string
  external_id?: string
  type: string
  source: string
  time: string
  partitionkey: string
  partition: number
  correlationid: string
  causationid?: string
  status: string
  attempts: number
  accepted_at: string
  settled_at?: string
  retry_at?: string
  error_class?: string
  message?: string
}

/** An event with its history. */
export interface WholeEvent extends Omit<ListedEvent, 'accepted_at' | 'settled_at' | 'retry_at'> {
  traceparent?: string
  /** Where its trace can be viewed, if the server knows it. */
  trace_url?: string
  /** `subject`, `dataschema` and extension attributes. */
  extensions?: Record<string, string | number | boolean>
  timeline: { at: string; what: string; detail?: string }[]
  failure?: WholeDeadLetter['failure']
  /** The consumer groups of the tenant that have failed to handle it. `status` is open, replaying or discarded. */
  dead_in?: { group: string; status: string; error_class: string; message: string }[]
  data: Record<string, unknown>
  result?: Record<string, unknown>
}

/** Dead letters with the same cause. */
export interface DeadLetterGroup {
  type: string
  error_class: string
  count: number
  first_seen: string
  last_seen: string
  /** The failures in equal intervals between the first and the last. */
  trend: number[]
}

/** A bulk operation on events; `status` is running, finished, interrupted or cancelled. */
export interface Operation {
  id: string
  kind: string
  status: string
  filter: DeadLetterFilter
  /** Maximum events a second. */
  rate: number
  /** The version that a replay reads the events as; `null`: the one that each names. */
  schema_version: number | null
  reason: string | null
  requested_by: string
  total: number
  done: number
  started_at: string
  finished_at: string | null
}

/** A replay or a discard of dead letters. */
export interface DeadLetterOrder {
  filter: DeadLetterFilter
  /** Maximum events a second. */
  rate?: number
  /** For a replay: the schema version to read the events as. */
  schema_version?: number
  reason?: string
}

/** A type with a schema. */
export interface SchemaSummary {
  type: string
  latest: number
  versions: number
  compatibility: string
  registered_at: string
}

/** A version of a type's schema. */
export interface SchemaVersion {
  type: string
  version: number
  /** `code`: from a definition; `api`: over HTTP. */
  origin: string
  registered_by: string
  registered_at: string
  schema: object
}

/** The versions of a type's schema, oldest first. */
export interface SchemaVersions {
  type: string
  compatibility: string
  latest: Omit<SchemaVersion, 'type'>
  versions: Omit<SchemaVersion, 'type' | 'schema'>[]
}

/** Whether a schema could be the next version, and if not, why. */
export interface SchemaCheck {
  compatible: boolean
  compatibility: string
  incompatibilities: { version: number; direction: string; path: string; rule: string; message: string }[]
}

/** Every method throws RequestFailed on failure. Nothing is retried: the operator is there and sees the error. */
export interface Operator {
  /** Resolves when the server answers. */
  ping(): Promise<void>
  events(search: EventSearch, page?: PageOptions): Promise<Page<ListedEvent>>
  /**
   * Finds an event by its id, or by its producer's id and source (`/` by default); `undefined` if there is no such
   * event.
   */
  event(id: string, source?: string): Promise<WholeEvent | undefined>
  /** `status` is open, replaying, replayed, discarded or all. */
  deadLetters(filter: DeadLetterFilter & { status?: string }, page?: PageOptions): Promise<Page<DeadLetter>>
  /** The most frequent groups first; `more`: there are others. */
  deadLetterGroups(
    filter: DeadLetterFilter & { status?: string },
  ): Promise<{ groups: DeadLetterGroup[]; more: boolean }>
  /** As `event`; `undefined` if the event has not failed. */
  deadLetter(id: string, source?: string): Promise<WholeDeadLetter | undefined>
  /** Counts the affected events and changes nothing. */
  rehearse(action: DeadLetterAction, order: DeadLetterOrder): Promise<DryRun>
  /** Begins an operation. */
  begin(action: DeadLetterAction, order: DeadLetterOrder): Promise<Operation>
  /** `undefined` if there is no such operation. */
  operation(id: string): Promise<Operation | undefined>
  change(id: string, what: 'cancel' | 'resume'): Promise<Operation>
  schemas(): Promise<SchemaSummary[]>
  /** One version, the latest by default; `undefined` if there is none. */
  schema(type: string, version?: number): Promise<SchemaVersion | undefined>
  checkSchema(type: string, schema: object): Promise<SchemaCheck>
  /** Registers the schema as the next version, unless it equals the latest one. */
  registerSchema(type: string, schema: object): Promise<{ version: number }>
  /** All versions and the compatibility mode; `undefined` if there is none. */
  schemaVersions(type: string): Promise<SchemaVersions | undefined>
  compatibility(type: string): Promise<string>
  setCompatibility(type: string, mode: string): Promise<string>
  /** Consumer groups. */
  readonly groups: GroupOperator
  readonly windows: WindowOperator
  readonly joins: JoinOperator
  close(): Promise<void>
}

/**
 * Creates an operator client for the server at `url`; sends nothing yet. @throws {TypeError} when `url` is not valid.
 */
export function createOperator({ name, ...options }: OperatorOptions): Operator {
  const connection = createConnection({ ...options, ...(name && { headers: { 'x-operator': headerText(name) } }) })

  /** Resolves with the body of a success, or with the problem. */
  async function exchange<Body>(method: Method, path: string, body?: object): Promise<{ body: Body } | Problem> {
    const reply = await connection.exchange({ method, path, ...(body && { body: JSON.stringify(body) }) })
    if ('lost' in reply) throw new RequestFailed({ cause: reply.lost }, 1)
    return reply.status >= 200 && reply.status < 300 ? { body: reply.body as Body } : problemOf(reply)
  }

  /** The body of a success. A 404 that says that what was asked for does not exist gives `undefined`. */
  async function call<Body>(method: Method, path: string, body?: object): Promise<Body | undefined> {
    const answer = await exchange<Body>(method, path, body)
    if ('body' in answer) return answer.body
    if (method === 'GET' && isMissing(answer)) return undefined
    throw new RequestFailed({ problem: answer }, 1)
  }

  /** The body of a success. */
  async function always<Body>(method: Method, path: string, body?: object): Promise<Body> {
    const answer = await exchange<Body>(method, path, body)
    if ('body' in answer) return answer.body
    throw new RequestFailed({ problem: answer }, 1)
  }
  const order = (action: DeadLetterAction, body: object) => ['POST', `/v1/dead-letters/${action}`, body] as const

  return {
    ping: () => always('GET', '/livez'),
    events: (search, page) => always('GET', `/v1/events${queryOf({ ...search, ...page })}`),
    event: (id, source) => call('GET', `/v1/events/${encodeURIComponent(id)}${queryOf({ source })}`),
    deadLetters: (filter, page) => always('GET', `/v1/dead-letters${queryOf({ ...filter, ...page })}`),
    deadLetterGroups: (filter) => always('GET', `/v1/dead-letters${queryOf({ ...filter, group: 'true' })}`),
    deadLetter: (id, source) => call('GET', `/v1/dead-letters/${encodeURIComponent(id)}${queryOf({ source })}`),
    rehearse: (action, body) => always(...order(action, { ...body, dry_run: true })),
    begin: (action, body) => always(...order(action, body)),
    operation: (id) => call('GET', `/v1/operations/${encodeURIComponent(id)}`),
    change: (id, what) => always('POST', `/v1/operations/${encodeURIComponent(id)}/${what}`, {}),
    schemas: async () => (await always<{ items: SchemaSummary[] }>('GET', '/v1/schemas')).items,
    async schema(type, version) {
      if (version !== undefined) return call('GET', `${schemaPath(type)}/versions/${version}`)
      const found = await call<SchemaVersions>('GET', schemaPath(type))
      return found && { ...found.latest, type }
    },
    checkSchema: (type, schema) => always('POST', `${schemaPath(type)}/check`, { schema }),
    registerSchema: (type, schema) => always('PUT', schemaPath(type), { schema }),
    schemaVersions: (type) => call('GET', schemaPath(type)),
    async compatibility(type) {
      return (await always<{ compatibility: string }>('GET', `${schemaPath(type)}/compatibility`)).compatibility
    },
    async setCompatibility(type, mode) {
      const set = { compatibility: mode }
      return (await always<typeof set>('PUT', `${schemaPath(type)}/compatibility`, set)).compatibility
    },
    groups: createGroupOperator({ call, always }),
    ...createWindowOperators({ call, always }),
    close: () => connection.close(),
  }
}

/** A header holds printable ASCII; everything else, and the percent sign, is percent-encoded. */
const headerText = (text: string) => text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent)

const schemaPath = (type: string) => `/v1/schemas/${encodeURIComponent(type)}`

const isMissing = ({ status, code }: Problem) => status === 404 && code !== undefined && code !== 'route-not-found'
