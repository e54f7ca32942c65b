/** Types that the parts of a schema comparison share. */
import type { Schema } from './schema-node.js'

/** Why a value that fits the writer's schema may not fit the reader's. */
export interface Difference {
  /** The place, as a JSON pointer into the schema. */
  path: string
  rule: string
}

/**
 * Whether defaults for missing fields are filled in at this place before the writer's or the reader's schema is
 * checked.
 */
export interface Filled {
  writer: boolean
  reader: boolean
}

/** The functions that compare two nodes. */
export interface Comparison {
  compare: Compare
  /** Whether two values of a keyword are equal and have the same meaning. */
  same: (a: unknown, b: unknown) => boolean
}

export type Compare = (writer: Schema, reader: Schema, path: string, filled: Filled) => Difference[]
