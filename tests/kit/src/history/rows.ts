/** The rows of the database that the checker receives. */

/** A row of `raw_events`. Times are those of Postgres, in milliseconds. */
export interface AcceptedRow {
  id: string
  at: number
  /** When retention has removed it. */
  removedAt?: number
  /** Given for an event that a consumer group has emitted: its place in the order of acceptance, its key and its cause. */
  derived?: { seq: number; key: string; cause: string }
}

/** A row of `processed_events` or `failed_events`. */
export interface EndRow {
  id: string
  /** `replaying`, `replayed`: a dead letter that an operator has replayed; the outcome of that is another row. */
  end: 'processed' | 'dead' | 'replaying' | 'replayed'
  attempts: number
  /** Failed attempts in its history, since the last replay. */
  failures: number
  /** The cause of a dead letter. */
  errorClass?: string
  /** An operator has replayed it at some time. */
  again?: boolean
}

/** A row of the handler's table `effects`; `at` rises with every insert. */
export interface EffectRow {
  at: number
  id: string
  key: string
  n: number
}

/** A row of the handler's aggregate. */
export interface TotalRow {
  key: string
  count: number
  sum: number
}

/** A change of a partition's owner and epoch. */
export interface OwnerRow {
  partition: number
  epoch: number
  owner: string | null
}

/** The part of a settled batch in one partition, as a trigger saw it. `stale`: the epoch was over before the COMMIT. */
export interface WriteRow {
  partition: number
  worker: string
  owner: string | null
  epoch: number
  stale: boolean
}

/** An entry of the log: a row of `processed_events`. */
export interface EntryRow {
  seq: number
  id: string
  key: string
  partition: number
  position: number
  /** The group `fault-emitting` reads it, too. */
  isLeading: boolean
  /** Retention has removed it, and a consumer group had not handled it. */
  unread: boolean
}

/** A row of the table `group_effects`; `at` rises with every insert. */
export interface GroupEffectRow {
  at: number
  seq: number
  id: string
  key: string
  partition: number
}

/** A dead letter of a consumer group. */
export interface GroupLetterRow {
  seq: number
  group: string
  status: string
  message: string
}
