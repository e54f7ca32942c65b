/** Checks that the definitions of all kinds share. Mistakes are texts for the author: `field: what is wrong`. */
import { inspect } from 'node:util'
import { checkText } from '@eventflow/core'

const RETRY_FIELDS = new Set(['attempts', 'baseDelayMs', 'maxDelayMs'])
const MAX_TYPE_LENGTH = 200
const MAX_DESCRIPTION = 2_000
/** Maximum length of a value in a message, in characters. */
const MAX_SHOWN = 200

/** Limits of the columns of `retries`: a smallint, and an integer of milliseconds, about 24 days. */
const MAX_ATTEMPTS = 32_767
const MAX_DELAY_MS = 2_147_483_647

/** The mistakes that `look` finds, or that looking threw: a getter or a proxy may throw when it is read. */
export function looked(what: string, look: () => string[]): string[] {
  try {
    return look()
  } catch (error) {
    return [`${what}: reading it threw ${shown(error)}`]
  }
}

/** A value in a message: shortened, and without running any code of the value. */
export function shown(value: unknown): string {
  try {
    const isError = typeof value === 'object' && value !== null && typeof (value as Error).message === 'string'
    const text = isError
      ? (value as Error).message
      : inspect(value, { depth: 0, customInspect: false, breakLength: Infinity })
    return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
  } catch {
    return 'a value that cannot be shown'
  }
}

/** An event type, which `field` holds. */
export function typeMistakes(field: string, type: unknown): string[] {
  if (typeof type !== 'string' || type.trim() === '') return [`${field}: must be a non-empty string`]
  if (type.length > MAX_TYPE_LENGTH) return [`${field}: at most ${MAX_TYPE_LENGTH} characters, not ${type.length}`]
  if (type !== type.trim()) return [`${field}: begins or ends with a space`]
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(type))
    return [`${field}: contains an invisible character: ${JSON.stringify(type)}`]
  const unstorable = checkText(type, '')
  return unstorable ? [`${field}: ${unstorable.message}`] : []
}

export function descriptionMistakes(description: unknown): string[] {
  if (description === undefined) return []
  if (typeof description !== 'string') return [`description: must be a string, not ${shown(description)}`]
  if (description.length > MAX_DESCRIPTION) {
    return [`description: at most ${MAX_DESCRIPTION} characters, not ${description.length}`]
  }
  const unstorable = checkText(description, '')
  return unstorable ? [`description: ${unstorable.message}`] : []
}

/** Fields that hold functions; at most one of `handle` and `handleBatch` is allowed. */
export function functionMistakes(definition: Record<string, unknown>, fields: readonly string[]): string[] {
  const mistakes = fields
    .filter((field) => definition[field] !== undefined && typeof definition[field] !== 'function')
    .map((field) => `${field}: must be a function, not ${shown(definition[field])}`)
  if (definition.handle && definition.handleBatch) mistakes.push('handle, handleBatch: only one of the two is allowed')
  return mistakes
}

export function retryMistakes(retry: unknown): string[] {
  if (retry === undefined) return []
  if (!isRecord(retry)) return [`retry: must be an object, not ${shown(retry)}`]
  const mistakes = unknownFields(retry, RETRY_FIELDS, 'retry.')
  const { attempts, baseDelayMs, maxDelayMs } = retry
  if (attempts !== undefined && !isWhole(attempts, 1, MAX_ATTEMPTS)) {
    mistakes.push(`retry.attempts: must be a whole number from 1 to ${MAX_ATTEMPTS}, not ${shown(attempts)}`)
  }
  for (const [field, delay] of Object.entries({ baseDelayMs, maxDelayMs })) {
    if (delay !== undefined && !isWithin(delay, 0, MAX_DELAY_MS)) {
      mistakes.push(`retry.${field}: must be milliseconds from 0 to ${MAX_DELAY_MS}, not ${shown(delay)}`)
    }
  }
  return mistakes
}

/** Whether a value is a whole number in this range. */
export function isWhole(value: unknown, lowest: number, highest: number): boolean {
  return Number.isInteger(value) && isWithin(value, lowest, highest)
}

function isWithin(value: unknown, lowest: number, highest: number): boolean {
  return typeof value === 'number' && value >= lowest && value <= highest
}

/** A field that holds one of these texts; at least two. */
export function choiceMistakes(field: string, value: unknown, choices: readonly string[]): string[] {
  if (value === undefined || choices.some((choice) => choice === value)) return []
  const shownChoices = choices.map((choice) => `'${choice}'`)
  return [`${field}: must be ${shownChoices.slice(0, -1).join(', ')} or ${shownChoices.at(-1)}, not ${shown(value)}`]
}

export function unknownFields(object: Record<string, unknown>, known: ReadonlySet<string>, prefix: string): string[] {
  return Object.keys(object)
    .filter((field) => !known.has(field))
    .map((field) => `${prefix}${field}: unknown field`)
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
