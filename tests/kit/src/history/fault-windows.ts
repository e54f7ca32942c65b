/** The windows of the fault tests, as the checker knows them: what `tests/events/fault-windows.ts` defines. */

const SECOND = 1_000_000n

/** Times are in microseconds. */
export interface WindowSpec {
  name: string
  types: readonly string[]
  /** Windows of a size that begin at the multiples of `every`; or sessions, which a longer time than `gap` ends. */
  window: { size: bigint; every: bigint } | { gap: bigint }
  outOfOrderness: bigint
  late: 'row' | 'dead letter'
  emits: boolean
}

/** The type of the events that are emitted for results. */
export const WINDOWED = 'fault.windowed'

export const FAULT_WINDOWS: readonly WindowSpec[] = [
  {
    name: 'fault-tumbling',
    types: ['fault.leading'],
    window: { size: 2n * SECOND, every: 2n * SECOND },
    ...{ outOfOrderness: SECOND, late: 'row', emits: true },
  },
  {
    name: 'fault-hopping',
    types: ['fault.step'],
    window: { size: 10n * SECOND, every: 5n * SECOND },
    ...{ outOfOrderness: 2n * SECOND, late: 'row', emits: false },
  },
  {
    name: 'fault-session',
    types: ['fault.handled', 'fault.derived'],
    window: { gap: SECOND },
    ...{ outOfOrderness: SECOND, late: 'dead letter', emits: false },
  },
]
