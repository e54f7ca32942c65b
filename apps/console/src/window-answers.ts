/** The service's answers about windows and joins, as far as the console uses them. */

export interface Watermark {
  min: string
  max: string
}

/** What windows and joins have in common. Counts are those of the tenant. */
export interface Stateful {
  name: string
  version: number
  types: string[]
  out_of_orderness_seconds: number
  /** `null`: time goes on only with later events. */
  idle_seconds: number | null
  paused: boolean
  rebuilding: boolean
  late_events: number
  watermark: Watermark | null
}

export interface WindowSummary extends Stateful {
  open_windows: number
  results: number
}

export interface JoinSummary extends Stateful {
  waiting: number
}

export interface WindowResult {
  key: string
  start: string
  end: string
  result: Record<string, unknown>
}

export interface OpenWindow {
  key: string
  start: string
  end: string
  closes_at: string
  state: Record<string, unknown>
}

export interface LateEvent {
  id: string
  type: string
  partitionkey: string
  time: string
  watermark: string
}

export interface WaitingEvent {
  id?: string
  type?: string
  side: 'left' | 'right'
  partitionkey: string
  time: string
  expires_at: string
  matched: boolean
}
