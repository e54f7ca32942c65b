/** The joins of the fault tests, as the checker knows them: what `tests/events/fault-joins.ts` defines. */

const SECOND = 1_000_000n

/** Times are in microseconds. */
export interface JoinSpec {
  name: string
  /** The type of the events that are emitted. */
  emits: string
  left: string
  right: string
  /** The sides whose events are emitted if nothing is joined with them. */
  alone: readonly ('left' | 'right')[]
  /**
   * A right event is joined with all left ones from `before` after it to `after` before it; or with the latest one that
   * is not after it.
   */
  match: { before: bigint; after: bigint } | 'latest'
  outOfOrderness: bigint
  late: 'row' | 'dead letter'
}

const ONCE: readonly JoinSpec[] = [
  {
    ...{ name: 'fault-joined-self', emits: 'fault.joined-self', left: 'fault.leading', right: 'fault.leading' },
    match: { before: SECOND / 2n, after: 2n * SECOND },
    ...{ alone: ['left'], outOfOrderness: SECOND, late: 'row' },
  },
  {
    ...{ name: 'fault-joined-left', emits: 'fault.joined-left', left: 'fault.leading', right: 'fault.derived' },
    match: { before: 0n, after: SECOND },
    ...{ alone: ['left'], outOfOrderness: 2n * SECOND, late: 'row' },
  },
  {
    ...{ name: 'fault-joined-latest', emits: 'fault.joined-latest', left: 'fault.leading', right: 'fault.handled' },
    match: 'latest',
    ...{ alone: ['left', 'right'], outOfOrderness: SECOND, late: 'dead letter' },
  },
]

/** Each may be there a second time, under another name. */
export const FAULT_JOINS: readonly JoinSpec[] = ['', '-again'].flatMap((again) =>
  ONCE.map((spec) => ({ ...spec, name: `${spec.name}${again}`, emits: `${spec.emits}${again}` })),
)

/** The types of the events that joins emit. */
export const JOINED = FAULT_JOINS.map(({ emits }) => emits)
