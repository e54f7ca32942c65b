/** All aggregates of a window definition as one, with one state. */
import type { AcceptedEvent, Payload } from '../event.js'
import { PermanentError } from '../failure.js'
import { NotPlainError, plainData } from '../plain-data.js'
import { type Aggregate, WrongValueError } from './aggregates.js'

/** The state of all aggregates, by their names. */
type AggregationState = Readonly<Record<string, unknown>>

/**
 * As `Aggregate`, for all aggregates of a definition. A function that returns a wrong value is a PermanentError that
 * names its aggregate.
 */
export interface Aggregation<Data = Payload> {
  create(): AggregationState
  add(state: AggregationState, event: AcceptedEvent<Data>): AggregationState
  merge(earlier: AggregationState, later: AggregationState): AggregationState
  result(state: AggregationState): Payload
  /**
   * A copy of a state that JSON holds exactly. Throws a PermanentError if a function of `custom` returned something
   * else.
   */
  stored(state: AggregationState): Payload
}

export function createAggregation<Data = Payload>(
  aggregates: Readonly<Record<string, Aggregate<Data>>>,
): Aggregation<Data> {
  const entries = Object.entries(aggregates)
  const each = (run: (aggregate: Aggregate<Data>, name: string) => unknown) => {
    const values: Record<string, unknown> = {}
    for (const [name, aggregate] of entries) values[name] = naming(name, () => run(aggregate, name))
    return values
  }
  return {
    create: () => each((aggregate) => aggregate.create()),
    add: (state, event) => each((aggregate, name) => aggregate.add(state[name], event)),
    merge: (a, b) => each((aggregate, name) => aggregate.merge(a[name], b[name])),
    result: (state) => each((aggregate, name) => aggregate.result(state[name])),
    stored,
  }
}

function stored(state: AggregationState): Payload {
  try {
    return plainData(state)
  } catch (error) {
    if (!(error instanceof NotPlainError)) throw error
    throw new PermanentError(`the state of the aggregates contains ${error.message}; expected plain JSON`)
  }
}

function naming<Value>(name: string, run: () => Value): Value {
  try {
    return run()
  } catch (error) {
    if (error instanceof WrongValueError) throw new PermanentError(`aggregate '${name}': ${error.message}`)
    throw error
  }
}
