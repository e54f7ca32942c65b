/** Checks the definition of a window for mistakes before it reads any event. */
import { isAggregate, isWindows } from '@eventflow/core'
import {
  choiceMistakes,
  descriptionMistakes,
  functionMistakes,
  isRecord,
  looked,
  shown,
  typeMistakes,
  unknownFields,
} from './definition-mistakes.js'
import {
  eventTimeMistakes,
  fromMistakes,
  nameMistakes,
  onMistakes,
  typesMistakes,
  versionMistakes,
} from './reader-mistakes.js'

const FUNCTIONS = ['onResult', 'reset', 'prepare'] as const
const FIELDS = new Set<string>([
  ...['name', 'version', 'description', 'on', 'from', 'window', 'time', 'aggregate', 'late', 'emit'],
  ...['onPoison', 'onLostHistory', ...FUNCTIONS],
])
const MAX_AGGREGATES = 50
const AGGREGATE_NAME = /^[A-Za-z0-9_-]{1,100}$/
/** What a result has besides the aggregates. */
const RESULT_FIELDS = ['tenantId', 'key', 'start', 'end']

/** As `eventMistakes`, for the definition of a window. */
export function windowMistakes(definition: unknown): string[] {
  if (!isRecord(definition)) return [`a definition must be an object, not ${shown(definition)}`]
  const { name, version, description, on, from, window, time, aggregate, late, emit } = definition
  return [
    ...looked('the definition', () => unknownFields(definition, FIELDS, '')),
    ...looked('name', () => nameMistakes(name)),
    ...looked('version', () => versionMistakes(version)),
    ...looked('description', () => descriptionMistakes(description)),
    ...looked('on', () => typesMistakes('on', on)),
    ...looked('from', () => fromMistakes(from)),
    ...looked('window', () => windowsMistakes(window)),
    ...looked('time', () => eventTimeMistakes(time)),
    ...looked('aggregate', () => aggregateMistakes(aggregate)),
    ...looked('late', () => choiceMistakes('late', late, ['record', 'dead-letter'])),
    ...looked('emit', () => (emit === undefined ? [] : typeMistakes('emit', emit))),
    ...looked('onResult', () => functionMistakes(definition, FUNCTIONS)),
    ...onMistakes(definition),
  ]
}

function windowsMistakes(window: unknown): string[] {
  if (isWindows(window)) return []
  const functions = 'tumbling(…), hopping(…), session(…) or calendar(…)'
  return [`window: must be the result of ${functions}, not ${shown(window)}`]
}

function aggregateMistakes(aggregate: unknown): string[] {
  if (!isRecord(aggregate) || Array.isArray(aggregate)) {
    return [`aggregate: must be an object of aggregates by name, not ${shown(aggregate)}`]
  }
  const entries = Object.entries(aggregate)
  if (entries.length === 0 || entries.length > MAX_AGGREGATES) {
    return [`aggregate: must have 1 to ${MAX_AGGREGATES} aggregates, not ${entries.length}`]
  }
  return entries.flatMap(([name, value]) => [...aggregateNameMistakes(name), ...valueMistakes(name, value)])
}

function aggregateNameMistakes(name: string): string[] {
  if (RESULT_FIELDS.includes(name)) return [`aggregate.${name}: this name is a field of every result; choose another`]
  // Names that every object has, such as __proto__.
  if (name in {}) return [`aggregate.${name}: this name has a meaning in JavaScript; choose another`]
  if (AGGREGATE_NAME.test(name)) return []
  return [`aggregate: a name must be 1 to 100 letters, digits, '_' and '-', not ${shown(name)}`]
}

function valueMistakes(name: string, value: unknown): string[] {
  if (isAggregate(value)) return []
  const functions = 'count(), sum(…), min(…), max(…), avg(…) or custom(…)'
  return [`aggregate.${shownName(name)}: must be the result of ${functions}, not ${shown(value)}`]
}

const shownName = (name: string) => (AGGREGATE_NAME.test(name) ? name : shown(name))
