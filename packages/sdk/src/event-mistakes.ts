/** Checks the definition of an event type for mistakes before any event arrives. */
import { COMPATIBILITY_MODES, compileSchema, findUnstorable, schemaFaults } from '@eventflow/core'
import {
  choiceMistakes,
  descriptionMistakes,
  functionMistakes,
  isRecord,
  looked,
  retryMistakes,
  shown,
  typeMistakes,
  unknownFields,
} from './definition-mistakes.js'

const FUNCTIONS = ['key', 'validate', 'handle', 'handleBatch', 'prepare'] as const
const FIELDS = new Set<string>([
  ...['type', 'schema', 'upcast', 'compatibility', 'validateAt', 'description', 'example', 'enrich', 'retry', 'order'],
  ...FUNCTIONS,
])

/**
 * Every mistake in a definition as `field: what is wrong`, for its author; empty if there is none. Never throws, for
 * any value in the definition.
 */
export function eventMistakes(definition: unknown): string[] {
  if (!isRecord(definition)) return [`a definition must be an object, not ${shown(definition)}`]
  return [
    ...looked('the definition', () => unknownFields(definition, FIELDS, '')),
    ...looked('type', () => typeMistakes('type', definition.type)),
    ...looked('schema', () => schemaMistakes(definition.schema, definition.example)),
    ...looked('upcast', () => versionMistakes(definition)),
    ...looked('description', () => descriptionMistakes(definition.description)),
    ...looked('handle', () => functionMistakes(definition, FUNCTIONS)),
    ...looked('enrich', () => enrichMistakes(definition.enrich)),
    ...looked('retry', () => retryMistakes(definition.retry)),
    ...looked('order', () => choiceMistakes('order', definition.order, ['key', 'none'])),
  ]
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
  return [...mistakes, ...choiceMistakes('validateAt', validateAt, ['ingest', 'worker'])]
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
