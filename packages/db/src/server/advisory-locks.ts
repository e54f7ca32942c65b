/** All advisory locks. Their numbers must differ: two tasks with the same number would wait for each other. */

/** Each lock keeps a task from running twice at once. Kysely has another one for migrations. */
export const ADVISORY_LOCKS = {
  /** Creating the tables of definitions, when a process starts. */
  prepare: 7_305_021_648,
  /** Removing old events. */
  retention: 7_305_021_649,
  /** Registering versions of schemas. */
  schemas: 7_305_021_650,
  /** Registering consumer groups. */
  groups: 7_305_021_654,
  /** Making parts of the ledger, and converting the tables. */
  parts: 7_305_021_652,
  /**
   * Turning and dropping buckets of ids, which may take minutes: no part could be made meanwhile under the same lock.
   */
  buckets: 7_305_021_653,
  /** Changing owners and privileges. */
  roles: 7_305_021_651,
} as const
