/** The service's answers about consumer groups, as far as the console uses them. */
import type { DryRun } from './answers.js'
import type { Watermark } from './window-answers.js'

interface Lag {
  events: number
  /** There may be more events. */
  more: boolean
  seconds: number
}

/** A place of the log. */
export type Place = 'earliest' | 'latest' | { time: string } | { position: number }

export interface Group {
  name: string
  kind: 'consumer' | 'external' | 'window' | 'join'
  version: number
  generation: number
  /** All if empty. */
  types: string[]
  created_at: string
  paused: { reason: string; by: string; at: string } | null
  reset: {
    status: 'pending' | 'failed'
    to?: Place
    requested_by: string
    requested_at: string
    error?: string
  } | null
  owners: string[]
  lag: Lag
  parked: number
  dead_letters: number
  /** Of windows and joins, for all tenants. */
  state?: {
    open_windows?: number
    results?: number
    waiting?: number
    late_events: number
    watermark: Watermark | null
    watermark_lag_seconds: number | null
    lagging: { partition: number; tenant: string } | null
    building: { generation: number; done: number } | null
  }
}

export interface WholeGroup extends Group {
  partitions: {
    partition: number
    owner: string | null
    lag: Lag
    parked: number
    dead_letters: number
    /** Only for the operator's tenant. */
    position?: number
    last?: number
    low?: number
  }[]
}

export interface GroupReset {
  status: 'dry-run' | 'done' | 'pending'
}

/** What a reset would do. */
export interface GroupResetDryRun {
  again: number
  skipped: number
  more: boolean
}

/** Of an event of another tenant only the kind of failure is told. */
export interface GroupDeadLetter {
  id?: string
  tenant?: string
  type: string
  partitionkey?: string
  attempts: number
  failed_at: string
  failure: { error_class: string; component: string; message?: string }
  resolved_by?: string
  reason?: string
}

export interface GroupDryRun extends DryRun {
  more: boolean
  /** Those whose events were removed from the log. */
  removed: number
  at: string
}
