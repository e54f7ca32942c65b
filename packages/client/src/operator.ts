/** The operator's calls: events looked for, dead letters replayed or discarded, operations followed. */
import { problemOf } from './answer.js'
import { type Problem, RequestFailed } from './failure.js'
import { type ConnectionOptions, createConnection } from './http.js'

export interface OperatorOptions extends ConnectionOptions {
  /** Who asks, for the audit log, where no API key says so. */
  name?: string
}

/** One part of a list, and where the next one begins; `null` on the last. */
export interface Page<Item> {
  items: Item[]
  next: string | null
}

/** Which part of a list is meant. */
interface PageOptions {
  /** 1 to 1000. */
  limit?: number
  /** `next` of the page before. */
  cursor?: string | undefined
}

/** Every part that is given must hold; moments are RFC 3339. */
export interface EventSearch {
  id?: string | undefined
  correlation_id?: string | undefined
  type?: string | undefined
  key?: string | undefined
  status?: string | undefined
  from?: string | undefined
  to?: string | undefined
}

/** An event as one of many. */
export interface ListedEvent {
  id: string
  external_id?: string
  type: string
  partitionkey: string
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

/** An event with its story. */
export interface WholeEvent extends Omit<ListedEvent, 'accepted_at' | 'settled_at' | 'retry_at'> {
  source: string
  time: string
  timeline: { at: string; what: string; detail?: string }[]
  failure?: { error_class: string; message: string; component: string }
  data: Record<string, unknown>
  result?: Record<string, unknown>
}

/** Which dead letters are meant: `from` and `to` are about when they failed. */
export interface DeadLetterFilter extends Pick<EventSearch, 'type' | 'key' | 'from' | 'to'> {
  ids?: string[]
  error_class?: string
}

export interface DeadLetter {
  id: string
  type: string
  partitionkey: string
  correlationid: string
  status: string
  attempts: number
  accepted_at: string
  failed_at: string
  failure: { error_class: string; message: string; component: string }
  resolved_at?: string
  resolved_by?: string
  reason?: string
}

/** A dead letter with its data and every attempt. */
interface WholeDeadLetter extends DeadLetter {
  failure: DeadLetter['failure'] & { errors: { pointer: string; message: string }[] }
  history: { at: string; attempt: number; component: string; errorClass: string; message: string }[]
  data: Record<string, unknown>
}

/** Dead letters of one kind. */
interface DeadLetterGroup {
  type: string
  error_class: string
  count: number
  first_seen: string
  last_seen: string
}

/** What an operation would be about. */
export interface DryRun {
  count: number
  samples: { id: string; type: string; partitionkey: string; error_class?: string; message?: string }[]
}

/** Something that is done to many events; `status` is running, finished, interrupted or cancelled. */
export interface Operation {
  id: string
  kind: string
  status: string
  total: number
  done: number
}

/** A replay or a discard of dead letters. */
export interface DeadLetterOrder {
  filter: DeadLetterFilter
  /** Events a second, at the most. */
  rate?: number
  /** Of a replay: the version of their schema that the events are read as. */
  schema_version?: number
  reason?: string
}

/** A type with a schema. */
interface SchemaSummary {
  type: string
  latest: number
  versions: number
  compatibility: string
  registered_at: string
}

/** A version of a type's schema. */
interface SchemaVersion {
  type: string
  version: number
  origin: string
  registered_by: string
  registered_at: string
  schema: object
}

/** The versions of a type's schema, the first one first. */
interface SchemaVersions {
  compatibility: string
  versions: Omit<SchemaVersion, 'type' | 'schema'>[]
}

/** Whether a schema could be the next version, and if not, why. */
interface SchemaCheck {
  compatible: boolean
  compatibility: string
  incompatibilities: { version: number; direction: string; path: string; rule: string; message: string }[]
}

export type DeadLetterAction = 'replay' | 'discard'

/** All methods throw RequestFailed. They do not retry: the caller sees the failure. */
export interface Operator {
  /** Resolves when something answers. */
  ping(): Promise<void>
  events(search: EventSearch, page?: PageOptions): Promise<Page<ListedEvent>>
  /** By its id, or by the one it was sent with and its source (`/` where missing); `undefined` if there is no such event. */
  event(id: string, source?: string): Promise<WholeEvent | undefined>
  /** `status` is open, replaying, replayed, discarded or all. */
  deadLetters(filter: DeadLetterFilter & { status?: string }, page?: PageOptions): Promise<Page<DeadLetter>>
  /** The most frequent ones first; `more`: there are others. */
  deadLetterGroups(
    filter: DeadLetterFilter & { status?: string },
  ): Promise<{ groups: DeadLetterGroup[]; more: boolean }>
  /** As `event`; `undefined` if it has not failed. */
  deadLetter(id: string, source?: string): Promise<WholeDeadLetter | undefined>
  /** Only counts. */
  rehearse(action: DeadLetterAction, order: DeadLetterOrder): Promise<DryRun>
  /** Begins an operation. */
  begin(action: DeadLetterAction, order: DeadLetterOrder): Promise<Operation>
  /** `undefined` if there is no such operation. */
  operation(id: string): Promise<Operation | undefined>
  change(id: string, what: 'cancel' | 'resume'): Promise<Operation>
  schemas(): Promise<SchemaSummary[]>
  /** A version, the last where none is given; `undefined` if there is none. */
  schema(type: string, version?: number): Promise<SchemaVersion | undefined>
  checkSchema(type: string, schema: object): Promise<SchemaCheck>
  /** Makes it the next version, unless the last one is the same. */
  registerSchema(type: string, schema: object): Promise<{ version: number }>
  /** All versions and the mode; `undefined` if there is none. */
  schemaVersions(type: string): Promise<SchemaVersions | undefined>
  compatibility(type: string): Promise<string>
  setCompatibility(type: string, mode: string): Promise<string>
  close(): Promise<void>
}

/** An operator at the server at `url`; nothing is sent yet. @throws {TypeError} when `url` is none. */
export function createOperator({ name, ...options }: OperatorOptions): Operator {
  const connection = createConnection({ ...options, ...(name && { headers: { 'x-operator': headerText(name) } }) })

  /** The body of a success. A 404 that says that the thing is not there, and not the route, is `undefined`. */
  async function call<Body>(method: Method, path: string, body?: object): Promise<Body | undefined> {
    const reply = await connection.exchange({ method, path, ...(body && { body: JSON.stringify(body) }) })
    if ('lost' in reply) throw new RequestFailed({ cause: reply.lost }, 1)
    if (reply.status >= 200 && reply.status < 300) return reply.body as Body
    const problem = problemOf(reply)
    if (method === 'GET' && isMissing(problem)) return undefined
    throw new RequestFailed({ problem }, 1)
  }
  const always = async <Body>(method: Method, path: string, body?: object) =>
    (await call<Body>(method, path, body)) as Body
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
      const found = await call<{ latest: SchemaVersion }>('GET', schemaPath(type))
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
    close: () => connection.close(),
  }
}

/** A header holds printable ASCII; all else is percent-encoded, and so is the percent sign. */
const headerText = (text: string) => text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent)

const schemaPath = (type: string) => `/v1/schemas/${encodeURIComponent(type)}`

type Method = 'GET' | 'POST' | 'PUT'

const isMissing = ({ status, code }: Problem) => status === 404 && code !== undefined && code !== 'route-not-found'

function queryOf(parts: object): string {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined)
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(Object.fromEntries(given.map(([name, value]) => [name, String(value)])))}`
}
