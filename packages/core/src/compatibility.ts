/** The compatibility modes between versions of a schema. */

/** As in Confluent's registry: against the previous version, or with `_TRANSITIVE` against all. */
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
