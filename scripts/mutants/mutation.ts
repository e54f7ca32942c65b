/** A change of a text: what stands from `start` to `end` is replaced. */
export interface Mutation {
  start: number
  end: number
  replacement: string
  kind: string
  /** Where to look whether it is run, if not at its start: V8 counts an operator to what stands behind it. */
  at?: number
}
