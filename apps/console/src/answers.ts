/** The service's answers, as far as the console uses them. */

/** Like EVENT_STATUSES in packages/core, which the browser does not load. */
export const EVENT_STATUSES = ['accepted', 'retrying', 'processed', 'failed', 'discarded'] as const
type EventStatus = (typeof EVENT_STATUSES)[number]

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
  status: EventStatus
  attempts: number
  accepted_at: string
  settled_at?: string
  retry_at?: string
  error_class?: string
  message?: string
}

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

export interface WholeEvent extends Omit<ListedEvent, 'accepted_at'> {
  traceparent?: string
  trace_url?: string
  /** `subject`, `dataschema` and extension attributes. */
  extensions?: Record<string, Json>
  timeline: { at: string; what: string; detail?: string }[]
  failure?: {
    failure_type: string
    error_class: string
    message: string
    component: string
    errors: { pointer: string; message: string }[]
  }
  data: Json
  result?: Json
}

export interface EventType {
  type: string
  description?: string
  schema: Schema
  example?: Json
  sensitive: string[]
  order: string
  attempts: number
  /** Where data is first checked: `ingest` or `worker`. */
  validate_at: string
  /** The schema versions that its code has upcasters for. */
  lifts: number[]
}

/** The part of JSON Schema that the console needs to draft and to describe an event. */
export interface Schema {
  type?: string | string[]
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  enum?: Json[]
  const?: Json
  default?: Json
  examples?: Json[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  format?: string
}

/** A type that has a schema. */
export interface SchemaType {
  type: string
  latest: number
  versions: number
  compatibility: string
  registered_at: string
}

export interface SchemaVersion {
  version: number
  /** `code`: from a definition; `api`: over HTTP. */
  origin: string
  registered_by: string
  registered_at: string
  schema: Json
}

/** The versions of a type's schema in order. */
export interface SchemaVersions {
  type: string
  compatibility: string
  latest: SchemaVersion
  versions: Omit<SchemaVersion, 'schema'>[]
}

/** How the last events of a type state their schema; a `version` of `null`: they state none. */
export interface SchemaUsage {
  looked_at: number
  versions: { version: number | null; events: number; last_accepted_at: string }[]
  fields: { name: string; events: number }[]
}

/** Whether a schema could be the next version, and the reasons if not. */
export interface SchemaCheck {
  compatible: boolean
  compatibility: string
  incompatibilities: { version: number; path: string; rule: string; message: string }[]
}

export interface Page<Item> {
  items: Item[]
  next: string | null
}

export interface DeadLetter {
  id: string
  type: string
  partitionkey: string
  status: string
  attempts: number
  accepted_at: string
  failed_at: string
  failure: { error_class: string; message: string; component: string }
  resolved_by?: string
  resolved_at?: string
  reason?: string
}

export interface DeadLetterGroup {
  type: string
  error_class: string
  count: number
  first_seen: string
  last_seen: string
  trend: number[]
}

export interface Operation {
  id: string
  kind: string
  status: 'running' | 'finished' | 'interrupted' | 'cancelled'
  filter: Record<string, Json>
  rate: number
  schema_version: number | null
  reason: string | null
  requested_by: string
  total: number
  done: number
  started_at: string
  finished_at: string | null
}

export interface DryRun {
  count: number
  samples: { id: string; type: string; partitionkey: string; accepted_at: string; message?: string }[]
}

export interface AuditEntry {
  at: string
  actor: string
  action: string
  operation_id: string | null
  subject: string | null
  filter: Record<string, Json>
  count: number
  reason: string | null
}

export interface ApiKey {
  id: string
  name: string
  scopes: string[]
  created_at: string
  expires_at: string | null
  revoked_at: string | null
  last_used_at: string | null
}

export interface WaitingKey {
  id: string
  type: string
  partitionkey: string
  partition: number
  attempts: number
  behind: number
  waiting_since: string
  retry_at: string
  error_class?: string
  message?: string
}

export interface Trouble {
  level: 'bad' | 'warn' | 'info'
  text: string
  figure?: 'in' | 'oldest' | 'failed' | 'dead' | 'owner'
  about?: { partition?: number; key?: string; event?: string; worker?: string; group?: string; page?: string }
}

export interface Moment {
  at: number
  empty: boolean
  rates: {
    in: number
    out: number
    failed: number
    retried: number
    rejected: number
    turnedAway: number
    p50: number | null
    p95: number | null
    p99: number | null
    answered95: number | null
  }
  /** The last five minutes. */
  recent: { ended: number; failed: number }
  backlog: number | null
  retrying: number | null
  oldest: number | null
  dead: number | null
  workers: {
    id: string
    host: string
    pid: number
    startedAt: string
    silentSeconds: number
    alive: boolean
    partitions: number[]
    processed?: number
    failed?: number
    lastAt: number
    circuits: Record<string, string>
  }[]
  partitions: {
    partition: number
    owner: string | null
    epoch: number
    source: 'stream' | 'postgres'
    depth: number | null
    pending: number | null
    unsettled: number
    retrying: number
    lag: number
    lagSeconds: number
    oldestUnsettledAgeSeconds: number
  }[]
  redisError: string | null
  troubles: Trouble[]
}
