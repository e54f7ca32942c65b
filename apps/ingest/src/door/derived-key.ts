/** The key of an event that its definition derives: the order of its events depends on it, so it is never guessed. */
import { checkText, compileSchema, freezeParsed, type Payload, type Problem, type SchemaCheck } from '@eventflow/core'
import type { EventDefinition } from '@eventflow/sdk'
import { answerOf, wrongAnswer } from '@eventflow/sdk/user-code'

const EXPECTED = 'a string or an integer, or undefined if the event has no key'

/**
 * The key, `undefined` where the definition says that there is none, or what is wrong with its function. Data that does not fit
 * the schema has no key: it is taken, and fails in the worker, with a message that is about the data.
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
  // Data of an older version is none of this schema's, and may have an order all the same.
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

/** Compiled when it is first needed, which it is of few definitions. */
function ownCheck(definition: EventDefinition): SchemaCheck {
  const check = checks.get(definition) ?? compileSchema(definition.schema)
  checks.set(definition, check)
  return check
}
