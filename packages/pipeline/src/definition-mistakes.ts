/** What can be wrong with a definition before any event arrives. */
import { COMPATIBILITY_MODES, compileSchema } from '@eventflow/core'

const FUNCTIONS = ['key', 'validate', 'handle', 'handleBatch', 'prepare'] as const
const FIELDS = new Set<string>([
  ...['type', 'schema', 'upcast', 'compatibility', 'validateAt', 'description', 'example', 'enrich', 'retry', 'order'],
  ...FUNCTIONS,
])
const RETRY_FIELDS = new Set(['attempts', 'baseDelayMs', 'maxDelayMs'])
const MAX_TYPE_LENGTH = 200

/** What the columns of `retries` hold: a smallint, and an integer of milliseconds, some 24 days. */
const MAX_ATTEMPTS = 32_767
const MAX_DELAY_MS = 2_147_483_647

/** Every mistake in a definition as `field: what is wrong`, for the person who wrote it; empty when there is none. */
export function mistakesIn(definition: unknown): string[] {
  if (!isRecord(definition)) return ['a definition is an object']
  return [
    ...unknownFields(definition, FIELDS, ''),
    ...typeMistakes(definition.type),
    ...schemaMistakes(definition.schema, definition.example),
    ...versionMistakes(definition),
    ...textMistakes(definition.description),
    ...functionMistakes(definition),
    ...enrichMistakes(definition.enrich),
    ...retryMistakes(definition.retry),
    ...orderMistakes(definition.order),
  ]
}

function typeMistakes(type: unknown): string[] {
  if (typeof type !== 'string' || type.trim() === '') return ['type: a text that is not empty']
  if (type.length > MAX_TYPE_LENGTH) return [`type: at most ${MAX_TYPE_LENGTH} characters, not ${type.length}`]
  return []
}

/** Also checks the example, because people paste it. */
function schemaMistakes(schema: unknown, example: unknown): string[] {
  if (!isRecord(schema)) return ['schema: a JSON Schema is required']
  try {
    const check = compileSchema(schema)
    if (example === undefined) return []
    return check(example).map((problem) => `example: ${problem.pointer || 'the whole'} ${problem.message}`)
  } catch (error) {
    return [`schema: ${(error as Error).message}`]
  }
}

function versionMistakes({ upcast, compatibility, validateAt }: Record<string, unknown>): string[] {
  const mistakes: string[] = []
  if (upcast !== undefined && !isRecord(upcast)) mistakes.push('upcast: functions by the version that they lift')
  for (const [version, upcaster] of Object.entries(isRecord(upcast) ? upcast : {})) {
    if (!/^[1-9]\d{0,5}$/.test(version)) mistakes.push(`upcast: versions are numbers from 1, not '${version}'`)
    else if (typeof upcaster !== 'function') mistakes.push(`upcast[${version}]: a function`)
  }
  const modes: readonly unknown[] = COMPATIBILITY_MODES
  if (compatibility !== undefined && !modes.includes(compatibility)) {
    mistakes.push(`compatibility: one of ${modes.join(', ')}, not '${compatibility}'`)
  }
  if (validateAt !== undefined && validateAt !== 'ingest' && validateAt !== 'worker') {
    mistakes.push(`validateAt: 'ingest' or 'worker', not '${validateAt}'`)
  }
  return mistakes
}

function textMistakes(description: unknown): string[] {
  return description === undefined || typeof description === 'string' ? [] : ['description: a text']
}

function functionMistakes(definition: Record<string, unknown>): string[] {
  const mistakes = FUNCTIONS.filter(
    (field) => definition[field] !== undefined && typeof definition[field] !== 'function',
  ).map((field) => `${field}: a function`)
  if (definition.handle && definition.handleBatch) mistakes.push('handle, handleBatch: one of the two, not both')
  return mistakes
}

function enrichMistakes(enrich: unknown): string[] {
  if (enrich === undefined) return []
  if (!Array.isArray(enrich)) return ['enrich: a list of enrichers']
  const mistakes: string[] = []
  const names = new Set<string>()
  for (const [index, enricher] of enrich.entries()) {
    const name = isRecord(enricher) ? enricher.name : undefined
    if (typeof name !== 'string' || name === '') mistakes.push(`enrich[${index}].name: a text that is not empty`)
    else if (names.has(name)) mistakes.push(`enrich[${index}].name: there is already one called '${name}'`)
    else names.add(name)
    if (!isRecord(enricher) || typeof enricher.enrich !== 'function') {
      mistakes.push(`enrich[${index}].enrich: a function`)
    }
  }
  return mistakes
}

function retryMistakes(retry: unknown): string[] {
  if (retry === undefined) return []
  if (!isRecord(retry)) return ['retry: an object']
  const mistakes = unknownFields(retry, RETRY_FIELDS, 'retry.')
  const { attempts, baseDelayMs, maxDelayMs } = retry
  if (attempts !== undefined && !(Number.isInteger(attempts) && isWithin(attempts, 1, MAX_ATTEMPTS))) {
    mistakes.push(`retry.attempts: a whole number from 1 to ${MAX_ATTEMPTS}, not ${attempts}`)
  }
  for (const [field, delay] of Object.entries({ baseDelayMs, maxDelayMs })) {
    if (delay !== undefined && !isWithin(delay, 0, MAX_DELAY_MS)) {
      mistakes.push(`retry.${field}: milliseconds from 0 to ${MAX_DELAY_MS}, not ${delay}`)
    }
  }
  return mistakes
}

function isWithin(value: unknown, lowest: number, highest: number): boolean {
  return typeof value === 'number' && value >= lowest && value <= highest
}

function orderMistakes(order: unknown): string[] {
  return order === undefined || order === 'key' || order === 'none' ? [] : [`order: 'key' or 'none', not '${order}'`]
}

function unknownFields(object: Record<string, unknown>, known: ReadonlySet<string>, prefix: string): string[] {
  return Object.keys(object)
    .filter((field) => !known.has(field))
    .map((field) => `${prefix}${field}: there is no such field`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
