/** The service's answers that the client does not read, as far as the console uses them. */
import type { DeadLetterFilter } from '@eventflow/client'

/** Like EVENT_STATUSES in packages/core, which the browser does not load. */
export const EVENT_STATUSES = ['accepted', 'retrying', 'processed', 'failed', 'discarded'] as const

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

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

/** How the last events of a type state their schema; a `version` of `null`: they state none. */
export interface SchemaUsage {
  looked_at: number
  versions: { version: number | null; events: number; last_accepted_at: string }[]
  fields: { name: string; events: number }[]
}

export interface AuditEntry {
  at: string
  actor: string
  action: string
  operation_id: string | null
  subject: string | null
  filter: DeadLetterFilter
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
