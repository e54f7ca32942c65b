/** What the checker reads of a window or a join: its log, and what it has made of it. All times are in microseconds since 1970. */

/** An event of the log that the window or the join reads. */
export interface WindowEntry {
  partition: number
  position: number
  seq: number
  id: string
  type: string
  key: string
  occurred: bigint
  accepted: bigint
}

/** A mark of the log. */
export interface MarkRow {
  partition: number
  position: number
  kind: 'hold' | 'release' | 'tick'
  at: bigint | undefined
  seenSince: bigint | undefined
}

export interface ResultRow {
  partition: number
  key: string
  start: bigint
  end: bigint
  count: number
  sum: number
}

/** A row of `late_events`. */
interface LateRow {
  seq: number
  position: number
  watermark: bigint
}

/** A row of `window_state`: a pane, or a session. */
export interface StateRow extends ResultRow {
  firstOpen: bigint
}

/** A row of `group_watermarks`. */
interface TimeRow {
  partition: number
  watermark: bigint | undefined
  hold: bigint | undefined
}

/** An event that was emitted for a result. */
export interface EmittedRow {
  id: string
  key: string
  occurred: bigint
  /** Undefined if retention has removed it. */
  data: { key: string; start: string; end: string; count: number; sum: number } | undefined
  isSettled: boolean
}

/** A row of `join_rows`. */
export interface WaitingRow {
  partition: number
  key: string
  side: 'left' | 'right'
  at: bigint
  seq: number
  expiresAt: bigint
  matched: boolean
}

/** An event that was emitted for a pair, or for an event alone. */
export interface JoinedRow {
  id: string
  key: string
  occurred: bigint
  cause: string | null
  /** Undefined if retention has removed it. */
  data: { left: string | null; right: string | null; sum: number } | undefined
  isSettled: boolean
}

/** A generation of a window or a join, for one tenant, in one snapshot: how it has read the log. */
export interface LogHistory {
  name: string
  tenantId: string
  groupId: number
  generation: number
  /** How long a partition must have been without events of the group until a tick counts. */
  idle: bigint
  /** Where it began in each partition, and how far it has come. */
  cursors: { partition: number; began: number; position: number }[]
  /** In the order of their positions; none from before it began. */
  entries: WindowEntry[]
  /** In the order of their positions, also from before. */
  marks: MarkRow[]
  late: LateRow[]
  /** Its dead letters. */
  letters: { seq: number; message: string }[]
  times: TimeRow[]
  /** Retention has removed nothing of the log, so all generations have read the same. */
  isComplete: boolean
}

export interface WindowHistory extends LogHistory {
  results: ResultRow[]
  state: StateRow[]
  /** By all its generations. */
  emitted: EmittedRow[]
}

export interface JoinHistory extends LogHistory {
  waiting: WaitingRow[]
  /** By all its generations. */
  emitted: JoinedRow[]
}
