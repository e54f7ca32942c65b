/** What the checker is given of the database, row by row. */

/** A row of `processed_events` or `failed_events`. */
export interface EndRow {
  id: string
  /** `replaying`, `replayed`: a dead letter that an operator has replayed; what came of that is another row. */
  end: 'processed' | 'dead' | 'replaying' | 'replayed'
  attempts: number
  /** Failed attempts in its history, since it was last replayed. */
  failures: number
  /** For dead letters: why. */
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

/** A partition as its owner and epoch changed. */
export interface OwnerRow {
  partition: number
  epoch: number
  owner: string | null
}

/** A settled batch's part in one partition, as a trigger saw it. `stale`: the epoch was over before the COMMIT. */
export interface WriteRow {
  partition: number
  worker: string
  owner: string | null
  epoch: number
  stale: boolean
}
