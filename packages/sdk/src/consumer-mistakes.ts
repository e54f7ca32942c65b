/** Checks the definition of a consumer group for mistakes before it reads any event. */
import {
  choiceMistakes,
  descriptionMistakes,
  functionMistakes,
  isRecord,
  looked,
  retryMistakes,
  shown,
  unknownFields,
} from './definition-mistakes.js'
import { fromMistakes, nameMistakes, onMistakes, typesMistakes, versionMistakes } from './reader-mistakes.js'

const FUNCTIONS = ['handle', 'handleBatch', 'key', 'reset', 'prepare'] as const
const FIELDS = new Set<string>([
  ...['name', 'version', 'description', 'events', 'from', 'order', 'retry', 'onPoison', 'onLostHistory'],
  ...FUNCTIONS,
])

/** As `eventMistakes`, for the definition of a consumer group. */
export function consumerMistakes(definition: unknown): string[] {
  if (!isRecord(definition)) return [`a definition must be an object, not ${shown(definition)}`]
  const { name, version, description, events, from, order, retry } = definition
  return [
    ...looked('the definition', () => unknownFields(definition, FIELDS, '')),
    ...looked('name', () => nameMistakes(name)),
    ...looked('version', () => versionMistakes(version)),
    ...looked('description', () => descriptionMistakes(description)),
    ...looked('events', () => typesMistakes('events', events)),
    ...looked('from', () => fromMistakes(from)),
    ...looked('handle', () => handlerMistakes(definition)),
    ...looked('order', () => choiceMistakes('order', order, ['key', 'none'])),
    ...looked('retry', () => retryMistakes(retry)),
    ...onMistakes(definition),
  ]
}

function handlerMistakes(definition: Record<string, unknown>): string[] {
  const mistakes = functionMistakes(definition, FUNCTIONS)
  if (definition.handle === undefined && definition.handleBatch === undefined) {
    mistakes.push('handle, handleBatch: one of the two is required')
  }
  return mistakes
}
