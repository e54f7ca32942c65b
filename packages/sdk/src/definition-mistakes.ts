/** Checks a definition for mistakes before any event arrives. */
import { inspect } from 'node:util'
import { COMPATIBILITY_MODES, checkText, compileSchema, findUnstorable, schemaFaults } from '@eventflow/core'

const FUNCTIONS = ['key', 'validate', 'handle', 'handleBatch', 'prepare'] as const
const FIELDS = new Set<string>([
  ...['type', 'schema', 'upcast', 'compatibility', 'validateAt', 'description', 'example', 'enrich', 'retry', 'order'],
  ...FUNCTIONS,
])
const RETRY_FIELDS = new Set(['attempts', 'baseDelayMs', 'maxDelayMs'])
const MAX_TYPE_LENGTH = 200
const MAX_DESCRIPTION = 2_000
/** Maximum length of a value in a message, in characters. */
const MAX_SHOWN = 200

/** Limits of the columns of `retries`: a smallint, and an integer of milliseconds, about 24 days. */
const MAX_ATTEMPTS = 32_767
const MAX_DELAY_MS = 2_147_483_647

/**
 * Every mistake in a definition as `field: what is wrong`, for its author; empty if there is none. Never throws, for
 * any value in the definition.
 */
export function mistakesIn(definition: unknown): string[] {
  if (!isRecord(definition)) return [`a definition must be an object, not ${shown(definition)}`]
  return [
    ...looked('the definition', () => unknownFields(definition, FIELDS, '')),
    ...looked('type', () => typeMistakes(definition.type)),
    ...looked('schema', () => schemaMistakes(definition.schema, definition.example)),
    ...looked('upcast', () => versionMistakes(definition)),
    ...looked('description', () => textMistakes(definition.description)),
    ...looked('handle', () => functionMistakes(definition)),
    ...looked('enrich', () => enrichMistakes(definition.enrich)),
    ...looked('retry', () => retryMistakes(definition.retry)),
    ...looked('order', () => orderMistakes(definition.order)),
  ]
}

/** A getter or a proxy may throw when it is read. */
function looked(what: string, look: () => string[]): string[] {
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

function typeMistakes(type: unknown): string[] {
  if (typeof type !== 'string' || type.trim() === '') return ['type: must be a non-empty string']
  if (type.length > MAX_TYPE_LENGTH) return [`type: at most ${MAX_TYPE_LENGTH} characters, not ${type.length}`]
  if (type !== type.trim()) return ['type: begins or ends with a space']
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(type))
    return [`type: contains an invisible character: ${JSON.stringify(type)}`]
  const unstorable = checkText(type, '')
  return unstorable ? [`type: ${unstorable.message}`] : []
}

/** Also checks the example, because people paste it. */
function schemaMistakes(schema: unknown, example: unknown): string[] {
  if (schema === undefined) return ['schema: a JSON Schema is required']
  const faults = schemaFaults(schema)
  if (faults.length > 0) return faults.map(({ pointer, message }) => `schema: ${pointer && `${pointer} `}${message}`)
  return example === undefined ? [] : exampleMistakes(schema as object, example)
}

/** The example is checked as it would be sent, so it must be valid JSON. */
function exampleMistakes(schema: object, example: unknown): string[] {
  let sent: unknown
  try {
    sent = JSON.parse(JSON.stringify(example))
  } catch (error) {
    return [`example: cannot be written as JSON: ${String((error as Error).message).split('\n')[0]}`]
  }
  const unstorable = findUnstorable(sent)
  const problems = unstorable ? [unstorable] : compileSchema(schema)(sent)
  return problems.map(({ pointer, message }) => `example: ${pointer ? `${pointer} ` : ''}${message}`)
}

function versionMistakes({ upcast, compatibility, validateAt }: Record<string, unknown>): string[] {
  const mistakes: string[] = []
  if (upcast !== undefined && !isRecord(upcast)) mistakes.push('upcast: must be an object with a function per version')
  for (const [version, upcaster] of Object.entries(isRecord(upcast) ? upcast : {})) {
    if (!/^[1-9]\d{0,5}$/.test(version)) mistakes.push(`upcast: versions are numbers from 1, not '${version}'`)
    else if (typeof upcaster !== 'function') mistakes.push(`upcast[${version}]: must be a function`)
  }
  const modes: readonly unknown[] = COMPATIBILITY_MODES
  if (compatibility !== undefined && !modes.includes(compatibility)) {
    mistakes.push(`compatibility: must be one of ${modes.join(', ')}, not ${shown(compatibility)}`)
  }
  if (validateAt !== undefined && validateAt !== 'ingest' && validateAt !== 'worker') {
    mistakes.push(`validateAt: must be 'ingest' or 'worker', not ${shown(validateAt)}`)
  }
  return mistakes
}

function textMistakes(description: unknown): string[] {
  if (description === undefined) return []
  if (typeof description !== 'string') return [`description: must be a string, not ${shown(description)}`]
  if (description.length > MAX_DESCRIPTION) {
    return [`description: at most ${MAX_DESCRIPTION} characters, not ${description.length}`]
  }
  const unstorable = checkText(description, '')
  return unstorable ? [`description: ${unstorable.message}`] : []
}

function functionMistakes(definition: Record<string, unknown>): string[] {
  const mistakes = FUNCTIONS.filter(
    (field) => definition[field] !== undefined && typeof definition[field] !== 'function',
  ).map((field) => `${field}: must be a function, not ${shown(definition[field])}`)
  if (definition.handle && definition.handleBatch) mistakes.push('handle, handleBatch: only one of the two is allowed')
  return mistakes
}

function enrichMistakes(enrich: unknown): string[] {
  if (enrich === undefined) return []
  if (!Array.isArray(enrich)) return [`enrich: must be a list of enrichers, not ${shown(enrich)}`]
  const mistakes: string[] = []
  const names = new Set<string>()
  for (const [index, enricher] of enrich.entries()) {
    const name = isRecord(enricher) ? enricher.name : undefined
    if (typeof name !== 'string' || name === '') mistakes.push(`enrich[${index}].name: must be a non-empty string`)
    else if (names.has(name)) mistakes.push(`enrich[${index}].name: another enricher is also named '${name}'`)
    else names.add(name)
    if (!isRecord(enricher) || typeof enricher.enrich !== 'function') {
      mistakes.push(`enrich[${index}].enrich: must be a function`)
    }
  }
  return mistakes
}

function retryMistakes(retry: unknown): string[] {
  if (retry === undefined) return []
  if (!isRecord(retry)) return [`retry: must be an object, not ${shown(retry)}`]
  const mistakes = unknownFields(retry, RETRY_FIELDS, 'retry.')
  const { attempts, baseDelayMs, maxDelayMs } = retry
  if (attempts !== undefined && !(Number.isInteger(attempts) && isWithin(attempts, 1, MAX_ATTEMPTS))) {
    mistakes.push(`retry.attempts: must be a whole number from 1 to ${MAX_ATTEMPTS}, not ${shown(attempts)}`)
  }
  for (const [field, delay] of Object.entries({ baseDelayMs, maxDelayMs })) {
    if (delay !== undefined && !isWithin(delay, 0, MAX_DELAY_MS)) {
      mistakes.push(`retry.${field}: must be milliseconds from 0 to ${MAX_DELAY_MS}, not ${shown(delay)}`)
    }
  }
  return mistakes
}

function isWithin(value: unknown, lowest: number, highest: number): boolean {
  return typeof value === 'number' && value >= lowest && value <= highest
}

function orderMistakes(order: unknown): string[] {
  return order === undefined || order === 'key' || order === 'none'
    ? []
    : [`order: must be 'key' or 'none', not ${shown(order)}`]
}

function unknownFields(object: Record<string, unknown>, known: ReadonlySet<string>, prefix: string): string[] {
  return Object.keys(object)
    .filter((field) => !known.has(field))
    .map((field) => `${prefix}${field}: unknown field`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
