/** Checks the definition of a consumer group for mistakes before it reads any event. */
import { readTime } from '@eventflow/core'
import {
  choiceMistakes,
  descriptionMistakes,
  functionMistakes,
  isRecord,
  isWhole,
  looked,
  retryMistakes,
  shown,
  typeMistakes,
  unknownFields,
} from './definition-mistakes.js'

const FUNCTIONS = ['handle', 'handleBatch', 'key', 'reset', 'prepare'] as const
const FIELDS = new Set<string>([
  ...['name', 'version', 'description', 'events', 'from', 'order', 'retry', 'onPoison', 'onLostHistory'],
  ...FUNCTIONS,
])
const NAME = /^[a-z][a-z0-9._-]{0,99}$/
/** Limit of the column `version`, an integer. */
const MAX_VERSION = 2_147_483_647

/** As `eventMistakes`, for the definition of a consumer group. */
export function consumerMistakes(definition: unknown): string[] {
  if (!isRecord(definition)) return [`a definition must be an object, not ${shown(definition)}`]
  const { name, version, description, events, from, order, retry, onPoison, onLostHistory } = definition
  return [
    ...looked('the definition', () => unknownFields(definition, FIELDS, '')),
    ...looked('name', () => nameMistakes(name)),
    ...looked('version', () => versionMistakes(version)),
    ...looked('description', () => descriptionMistakes(description)),
    ...looked('events', () => eventsMistakes(events)),
    ...looked('from', () => fromMistakes(from)),
    ...looked('handle', () => handlerMistakes(definition)),
    ...looked('order', () => choiceMistakes('order', order, ['key', 'none'])),
    ...looked('retry', () => retryMistakes(retry)),
    ...looked('onPoison', () => choiceMistakes('onPoison', onPoison, ['dead-letter', 'pause'])),
    ...looked('onLostHistory', () => choiceMistakes('onLostHistory', onLostHistory, ['pause', 'skip'])),
  ]
}

function nameMistakes(name: unknown): string[] {
  if (typeof name === 'string' && NAME.test(name)) return []
  const form = "1 to 100 lower-case letters, digits, '-', '_' and '.', beginning with a letter"
  return [`name: must be ${form}, not ${shown(name)}`]
}

function versionMistakes(version: unknown): string[] {
  return version === undefined || isWhole(version, 1, MAX_VERSION)
    ? []
    : [`version: must be a whole number from 1 to ${MAX_VERSION}, not ${shown(version)}`]
}

function eventsMistakes(events: unknown): string[] {
  if (!Array.isArray(events)) return [`events: must be a list of event types, not ${shown(events)}`]
  if (events.length === 0) return ['events: must name at least one event type']
  const mistakes: string[] = []
  const types = new Set<unknown>()
  for (const [index, type] of events.entries()) {
    const field = `events[${index}]`
    const wrong = typeMistakes(field, type)
    if (wrong.length === 0 && types.has(type)) mistakes.push(`${field}: ${JSON.stringify(type)} is named twice`)
    mistakes.push(...wrong)
    types.add(type)
  }
  return mistakes
}

function fromMistakes(from: unknown): string[] {
  if (from === undefined || from === 'earliest' || from === 'latest') return []
  const forms = "'earliest', 'latest', { time: … } or { position: … }"
  if (!isRecord(from)) return [`from: must be ${forms}, not ${shown(from)}`]
  const unknown = unknownFields(from, new Set(['time', 'position']), 'from.')
  if (unknown.length > 0) return unknown
  const { time, position } = from
  if ((time === undefined) === (position === undefined)) return [`from: must be one of ${forms}`]
  if (time === undefined) {
    return isWhole(position, 0, Number.MAX_SAFE_INTEGER)
      ? []
      : [`from.position: must be a whole number from 0, not ${shown(position)}`]
  }
  if (typeof time !== 'string') return [`from.time: must be a string, not ${shown(time)}`]
  const { fault } = readTime(time)
  return fault === undefined ? [] : [`from.time: ${shown(time)} ${fault}`]
}

function handlerMistakes(definition: Record<string, unknown>): string[] {
  const mistakes = functionMistakes(definition, FUNCTIONS)
  if (definition.handle === undefined && definition.handleBatch === undefined) {
    mistakes.push('handle, handleBatch: one of the two is required')
  }
  return mistakes
}
