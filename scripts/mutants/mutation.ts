/** A change of a text: `replacement` replaces the part from `start` to `end`. */
export interface Mutation {
  start: number
  end: number
  replacement: string
  kind: string
  /** The place whose coverage counts, if not the start: V8 attributes an operator to its right operand. */
  at?: number
}
