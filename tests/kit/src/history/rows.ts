/** The rows of the database that the checker receives. */

/** A row of `raw_events`. Times are those of Postgres, in milliseconds. */
export interface AcceptedRow {
  id: string
  at: number
  /** When retention has removed it. */
  removedAt?: number
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
