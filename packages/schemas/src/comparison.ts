/** What the parts of a comparison of two schemas have in common. */
import type { Schema } from './schema-node.js'

/** Why something that fits the writer's schema may not fit the reader's. */
export interface Difference {
  /** Where, as a JSON pointer into the schema. */
  path: string
  rule: string
}

/** Whether missing fields are given their defaults, at a place of the schemas, before either is asked. */
export interface Filled {
  writer: boolean
  reader: boolean
}

/** How two nodes are compared. */
export interface Comparison {
  compare: Compare
  /** Whether two values of a keyword are the same, and mean the same. */
  same: (a: unknown, b: unknown) => boolean
}

export type Compare = (writer: Schema, reader: Schema, path: string, filled: Filled) => Difference[]
