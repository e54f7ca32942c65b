/**
 * Aggregates over the events of a window. A state is plain JSON, and states merge associatively: it makes no difference
 * how the events were divided among them.
 */
import { branded, hasBrand } from '../brand.js'
import { describeValue, ignorePromise } from '../describe-value.js'
import type { AcceptedEvent, Payload } from '../event.js'
import { PermanentError } from '../failure.js'
import { NotPlainError, plainData } from '../plain-data.js'
import { addDecimals, compareDecimals, decimalForJson, divideDecimal, readDecimal } from './decimal.js'
import { requireOptions } from './durations.js'

/** A user's function returned a value of the wrong kind: no later attempt can succeed. */
export class WrongValueError extends PermanentError {
  constructor(name: string, value: string, expected: string) {
    super(`${name} returned ${value}; expected ${expected}`)
  }
}

/**
 * An aggregate. `Result` is what it says about a window. Errors of users' functions pass through; a function that
 * returns a wrong value is a WrongValueError.
 */
export interface Aggregate<Data = Payload, Result = unknown> {
  readonly kind: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'custom'
  /** The state without any event. */
  create(): unknown
  /** The state with one more event. The given state must not be used any more. */
  add(state: unknown, event: AcceptedEvent<Data>): unknown
  /** The state of the events of both. */
  merge(earlier: unknown, later: unknown): unknown
  result(state: unknown): Result
}

const AGGREGATE = Symbol.for('eventflow.aggregate')

/** Whether `count`, `sum`, `min`, `max`, `avg` or `custom` made the value. */
export const isAggregate = (value: unknown): value is Aggregate => hasBrand(AGGREGATE, value)

/** Returns a value of an event as a finite number, a BigInt, or a decimal number as text. */
export type NumberOf<Data> = (event: AcceptedEvent<Data>) => number | bigint | string

/** A number, or its text if JavaScript has no number that keeps it exactly. */
export type ExactNumber = number | string

/** The functions of `custom`. All are synchronous, and return plain JSON. */
export interface CustomAggregate<Data, State, Result> {
  /** The state without any event. */
  create: () => State
  /** The state with one more event. May change and return the given state. */
  add: (state: State, event: AcceptedEvent<Data>) => State
  /** The state of the events of both. Must be associative: in a window of many parts the order of merging varies. */
  merge: (earlier: State, later: State) => State
  result: (state: State) => Result
}

/** The number of events. */
export function count<Data = Payload>(): Aggregate<Data, number> {
  return branded(AGGREGATE, {
    kind: 'count',
    create: () => 0,
    add: (state) => (state as number) + 1,
    merge: (a, b) => (a as number) + (b as number),
    result: (state) => state as number,
  })
}

/** The exact sum: 0.1 three times is 0.3. Throws a TypeError unless `of` is a function. */
export function sum<Data = Payload>(of: NumberOf<Data>): Aggregate<Data, ExactNumber> {
  const decimal = decimalOf('sum', of)
  return branded(AGGREGATE, {
    kind: 'sum',
    create: () => '0',
    add: (state, event) => addDecimals(state as string, decimal(event)),
    merge: (a, b) => addDecimals(a as string, b as string),
    result: (state) => decimalForJson(state as string),
  })
}

/** The lowest value; null without any event. Throws a TypeError unless `of` is a function. */
export function min<Data = Payload>(of: NumberOf<Data>): Aggregate<Data, ExactNumber | null> {
  return extreme('min', of, (a, b) => (compareDecimals(b, a) < 0 ? b : a))
}

/** The highest value; null without any event. Throws a TypeError unless `of` is a function. */
export function max<Data = Payload>(of: NumberOf<Data>): Aggregate<Data, ExactNumber | null> {
  return extreme('max', of, (a, b) => (compareDecimals(b, a) > 0 ? b : a))
}

interface Average {
  sum: string
  count: number
}

/** Significant digits of an average, unless others are asked for: a double keeps all of them. */
const AVERAGE_DIGITS = 15
const MAX_AVERAGE_DIGITS = 100

/**
 * The average, rounded to `digits` significant digits (15); null without any event. Throws a TypeError unless `of` is a
 * function and `digits` a whole number from 1 to 100.
 */
export function avg<Data = Payload>(
  of: NumberOf<Data>,
  options: { digits?: number } = {},
): Aggregate<Data, ExactNumber | null> {
  const decimal = decimalOf('avg', of)
  requireOptions('avg', options, ['digits'])
  const { digits = AVERAGE_DIGITS } = options
  if (!Number.isInteger(digits) || digits < 1 || digits > MAX_AVERAGE_DIGITS) {
    const wanted = `a whole number from 1 to ${MAX_AVERAGE_DIGITS}`
    throw new TypeError(`avg: digits must be ${wanted}, not ${describeValue(digits)}`)
  }
  const plus = (state: unknown, value: string, more: number): Average => {
    const { sum, count } = state as Average
    return { sum: addDecimals(sum, value), count: count + more }
  }
  return branded(AGGREGATE, {
    kind: 'avg',
    create: () => ({ sum: '0', count: 0 }),
    add: (state, event) => plus(state, decimal(event), 1),
    merge: (a, b) => plus(a, (b as Average).sum, (b as Average).count),
    result: (state) => {
      const { sum, count } = state as Average
      return count === 0 ? null : decimalForJson(divideDecimal(sum, count, digits))
    },
  })
}

/**
 * An aggregate of the user's own. Throws a TypeError unless all four functions are given.
 *
 * ```ts
 * const distinct = custom({
 *   create: (): Record<string, true> => ({}),
 *   add: (users, { data }: AcceptedEvent<{ userId: string }>) => ({ ...users, [data.userId]: true }),
 *   merge: (a, b) => ({ ...a, ...b }),
 *   result: (users) => Object.keys(users).length,
 * })
 * ```
 */
export function custom<State, Result, Data = Payload>(
  functions: CustomAggregate<Data, State, Result>,
): Aggregate<Data, Result> {
  if (typeof functions !== 'object' || functions === null) {
    throw new TypeError(`custom: needs an object of functions, not ${describeValue(functions)}`)
  }
  const { create, add, merge, result, ...others } = functions
  for (const [name, value] of Object.entries({ create, add, merge, result })) requireFunction(`custom: ${name}`, value)
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new TypeError(`custom: unknown function '${unknown}'`)
  // Copies: what these functions do to a state must not change one that is used again.
  const copied = (name: string, state: unknown) => structuredClone(plain(name, state)) as State
  return branded(AGGREGATE, {
    kind: 'custom',
    create: () => copied('create', create()),
    // Checked in full only when it is stored: a state may grow with each event.
    add: (state, event) => present('add', add(state as State, event)),
    merge: (a, b) => plain('merge', merge(copied('add', a), copied('add', b))),
    result: (state) => plain('result', result(copied('add', state))) as Result,
  })
}

function extreme<Data>(
  kind: 'min' | 'max',
  of: NumberOf<Data>,
  choose: (a: string, b: string) => string,
): Aggregate<Data, ExactNumber | null> {
  const decimal = decimalOf(kind, of)
  const either = (a: string | null, b: string | null) => (a === null || b === null ? (a ?? b) : choose(a, b))
  return branded(AGGREGATE, {
    kind,
    create: () => null,
    add: (state, event) => either(state as string | null, decimal(event)),
    merge: (a, b) => either(a as string | null, b as string | null),
    result: (state) => (state === null ? null : decimalForJson(state as string)),
  })
}

/** The user's function, whose values are checked. */
function decimalOf<Data>(kind: string, of: NumberOf<Data>): (event: AcceptedEvent<Data>) => string {
  requireFunction(kind, of)
  return (event) => {
    const value: unknown = of(event)
    const read = readDecimal(value)
    if (read !== undefined) return read
    ignorePromise(value)
    const expected = 'a number, a BigInt or a decimal number as text, of at most 400 digits'
    throw new WrongValueError(`the function of ${kind}`, describeValue(value), expected)
  }
}

function requireFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new TypeError(`${name}: must be a function, not ${describeValue(value)}`)
}

/** A copy of what a function of `custom` returned. */
function plain(name: string, value: unknown): unknown {
  try {
    return plainData({ value: present(name, value) }).value
  } catch (error) {
    if (!(error instanceof NotPlainError)) throw error
    const pointer = error.pointer.slice('/value'.length)
    throw new WrongValueError(`the function ${name}`, pointer ? `${error.what} at ${pointer}` : error.what, PLAIN)
  }
}

const PLAIN = 'plain JSON, synchronously'

function present(name: string, value: unknown): unknown {
  if (value !== undefined && typeof value !== 'function' && !ignorePromise(value)) return value
  throw new WrongValueError(`the function ${name}`, describeValue(value), PLAIN)
}
