/** What becomes of a window when it closes. */
import { type Aggregation, failureOf, type Micros, type Payload, PermanentError, timeOf } from '@eventflow/core'
import type { EventKey, PaneRow } from '@eventflow/db'

/** The most that one transaction closes: windows of keys, the panes that they may have, and the bytes of their state. */
export const CLOSING = { ends: 1_000, panes: 20_000, bytes: 16 * 2 ** 20 }

/** A closed window of a key. */
export interface Closed extends EventKey {
  start: Micros
  end: Micros
  hops: number
  aggregates: Payload
}

export interface Closing {
  closed: Closed[]
  /** There may be more to close. */
  more: boolean
}

/** Makes the result of a window from its panes. Throws a PermanentError that names the window. */
export function closedOf(
  { partition, tenantId, key, start, end }: EventKey & { start: Micros; end: Micros },
  panes: readonly PaneRow[],
  aggregation: Aggregation,
): Closed {
  try {
    const state = panes
      .map((pane) => pane.state)
      .reduce((earlier, later) => aggregation.merge(earlier, later) as Payload)
    const hops = Math.max(...panes.map((pane) => pane.hops))
    return { partition, tenantId, key, start, end, hops, aggregates: aggregation.result(state) }
  } catch (error) {
    const { errorClass, message } = failureOf(error, 'handle')
    const what = errorClass === 'PermanentError' ? message : `${errorClass}: ${message}`
    throw new PermanentError(`${titleOf({ key, start, end })}: ${what}`, { cause: error })
  }
}

/** Describes a window in messages. */
export const titleOf = ({ key, start, end }: Pick<Closed, 'key' | 'start' | 'end'>) =>
  `the window of key ${JSON.stringify(key)} from ${timeOf(start)} to ${timeOf(end)}`
