/** The advisory locks there are, each with a number of its own: two tasks with one number would wait for each other. */

/** What each lock keeps from being done twice at once. Kysely has one more of its own, for migrations. */
export const ADVISORY_LOCKS = {
  /** Making the tables of definitions, at the start of a process. */
  prepare: 7_305_021_648,
  /** Removing what is old. */
  retention: 7_305_021_649,
  /** Registering versions of schemas. */
  schemas: 7_305_021_650,
  /** Changing who owns what, and who may do what. */
  roles: 7_305_021_651,
} as const
