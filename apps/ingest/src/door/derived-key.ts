/** The key that a definition derives from an event. The order of its events depends on it, so it is never guessed. */
import { checkText, compileSchema, freezeParsed, type Payload, type Problem, type SchemaCheck } from '@eventflow/core'
import type { EventDefinition } from '@eventflow/sdk'
import { answerOf, wrongAnswer } from '@eventflow/sdk/user-code'

const EXPECTED = 'a string or an integer, or undefined if the event has no key'

/**
 * Returns the key, `undefined` if the definition gives none, or what is wrong with its function. Data that does not fit
 * the schema has no key: the event is accepted and fails in the worker, with a message about the data.
 */
export function derivedKey(
  data: Payload,
  namesVersion: boolean,
  definition: EventDefinition | undefined,
): string | undefined | Problem {
  const { type, key } = definition ?? {}
  if (!definition || !type || !key) return undefined
  freezeParsed(data)
  const answer = answerOf({ type, name: 'key', component: 'key' }, () => key(data), EXPECTED, readKey)
  if ('value' in answer) return answer.value
  // Data of an older version need not fit this schema and may still have a key.
  if (!namesVersion && ownCheck(definition)(data).length > 0) return undefined
  const { errorClass, message } = answer.failure
  const what = errorClass === 'WrongAnswer' ? message : `key of '${type}' threw ${errorClass}: ${message}`
  return {
    pointer: '/data',
    message: `has no ordering key: ${what}. Send a partitionkey, or fix the definition`,
  }
}

function readKey(answer: unknown): string | undefined {
  if (answer === undefined || answer === null || answer === '') return undefined
  if (typeof answer === 'string' && !checkText(answer, '')) return answer
  if (typeof answer === 'bigint' || Number.isSafeInteger(answer)) return String(answer)
  throw wrongAnswer(answer, EXPECTED)
}

const checks = new WeakMap<EventDefinition, SchemaCheck>()

/** Compiled on first use, because few definitions need it. */
function ownCheck(definition: EventDefinition): SchemaCheck {
  const check = checks.get(definition) ?? compileSchema(definition.schema)
  checks.set(definition, check)
  return check
}
