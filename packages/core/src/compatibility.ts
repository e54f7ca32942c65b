/** What a new version of a schema must be to those before it. */

/** As in Confluent's registry: against the version before, or with `_TRANSITIVE` against all. */
export const COMPATIBILITY_MODES = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const

export type CompatibilityMode = (typeof COMPATIBILITY_MODES)[number]
