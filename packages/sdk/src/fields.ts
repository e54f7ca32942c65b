/** Look-ups of reference data by key: collects the keys of a batch, and puts the answers into fields. */
import { type AcceptedEvent, describeValue, ignorePromise, PermanentError, toError } from '@eventflow/core'
import type { Addition } from './enricher.js'

/** For each field to add: the key to look up for an event, a string or an integer, or `undefined` for no look-up. */
export type Fields<Data, Field extends string> = Readonly<
  Record<Field, (event: AcceptedEvent<Data>) => string | number | undefined>
>

/** What happens to an event when nothing is found: `fail` it permanently, or `skip` the field. */
export type Missing = 'fail' | 'skip'

/** What a look-up adds: with `fail` every field is present, with `skip` any may be absent. */
export type Found<Field extends string, Value, Absent extends Missing> = Absent extends 'fail'
  ? Record<Field, Value>
  : Partial<Record<Field, Value>>

/** The answers by key. A key without an answer was not found; an `Error` fails the events that asked for this key. */
export type Answers<Value> = ReadonlyMap<string, Value | Error>

/**
 * Looks up the keys of all fields of all events, each distinct key once, and returns one addition for each event.
 * `describe` names the key in the message of an event that fails because it was not found.
 */
export async function fillFields<
  Data,
  Field extends string,
  Value extends NonNullable<unknown>,
  Absent extends Missing,
>(
  events: readonly AcceptedEvent<Data>[],
  fields: Fields<Data, Field>,
  missing: Absent,
  lookUp: (keys: string[]) => Promise<Answers<Value>>,
  describe: (key: string) => string,
): Promise<Addition<Found<Field, Value, Absent>>[]> {
  const asked = events.map((event) => keysOf(event, fields))
  const keys = new Set(asked.flatMap((keys) => (keys instanceof Error ? [] : [...keys.values()])))
  keys.delete(undefined)
  const answers: Answers<Value> = keys.size === 0 ? new Map() : await lookUp([...keys] as string[])
  return asked.map((keys) => {
    if (keys instanceof Error) return keys
    const addition: Record<string, Value> = {}
    for (const [field, key] of keys) {
      const answer = key === undefined ? undefined : answers.get(key)
      if (answer instanceof Error) return answer
      if (answer !== undefined) addition[field] = answer
      else if (missing === 'fail') {
        return new PermanentError(key === undefined ? `there is no key for ${field}` : `there is no ${describe(key)}`)
      }
    }
    return addition as Found<Field, Value, Absent>
  })
}

/** The key of each field as text, or the error that a user's function threw. */
function keysOf<Data>(
  event: AcceptedEvent<Data>,
  fields: Fields<Data, string>,
): Map<string, string | undefined> | Error {
  try {
    return new Map(Object.entries(fields).map(([field, keyOf]) => [field, keyIn(keyOf(event), field)]))
  } catch (error) {
    return toError(error)
  }
}

/** `null` counts as no key: optional fields of an event are often null. */
function keyIn(answer: unknown, field: string): string | undefined {
  if (answer === undefined || answer === null) return undefined
  if (typeof answer === 'string') return answer
  if (Number.isSafeInteger(answer) || typeof answer === 'bigint') return String(answer)
  ignorePromise(answer)
  throw new PermanentError(`the key for ${field} is ${describeValue(answer)}; expected a string or an integer`)
}
