/** Checks the definition of a join for mistakes before it reads any event. */
import { JOIN_KINDS, JOIN_MATCHES } from '@eventflow/core'
import {
  choiceMistakes,
  descriptionMistakes,
  isRecord,
  isWhole,
  looked,
  shown,
  typeMistakes,
  unknownFields,
} from './definition-mistakes.js'
import {
  durationMistakes,
  eventTimeMistakes,
  fromMistakes,
  nameMistakes,
  onMistakes,
  versionMistakes,
} from './reader-mistakes.js'

const FIELDS = new Set([
  ...['name', 'version', 'description', 'left', 'right', 'from', 'kind', 'within', 'match', 'maxPerKey', 'time'],
  ...['select', 'emit', 'late', 'onPoison', 'onLostHistory'],
])
const MAX_PER_KEY = 100_000

/** As `eventMistakes`, for the definition of a join. */
export function joinMistakes(definition: unknown): string[] {
  if (!isRecord(definition)) return [`a definition must be an object, not ${shown(definition)}`]
  const { name, version, description, left, right, from, kind, match, maxPerKey, time, select, emit, late } = definition
  return [
    ...looked('the definition', () => unknownFields(definition, FIELDS, '')),
    ...looked('name', () => nameMistakes(name)),
    ...looked('version', () => versionMistakes(version)),
    ...looked('description', () => descriptionMistakes(description)),
    ...looked('left', () => typeMistakes('left', left)),
    ...looked('right', () => typeMistakes('right', right)),
    ...looked('from', () => fromMistakes(from)),
    ...looked('kind', () => choiceMistakes('kind', kind, JOIN_KINDS)),
    ...looked('match', () => choiceMistakes('match', match, JOIN_MATCHES)),
    ...looked('within', () => withinMistakes(definition)),
    ...looked('maxPerKey', () => maxPerKeyMistakes(maxPerKey)),
    ...looked('time', () => eventTimeMistakes(time)),
    ...looked('select', () => selectMistakes(select)),
    ...looked('emit', () => typeMistakes('emit', emit)),
    ...looked('late', () => choiceMistakes('late', late, ['record', 'dead-letter'])),
    ...onMistakes(definition),
  ]
}

function withinMistakes({ within, match }: Record<string, unknown>): string[] {
  const latest = match === 'latest'
  if (latest && within === undefined) return []
  if (!isRecord(within)) return [`within: must be an object with before and after, not ${shown(within)}`]
  const { before, after } = within
  return [
    ...unknownFields(within, new Set(['before', 'after']), 'within.'),
    ...(latest ? beforeLatestMistakes(before) : durationMistakes('within.before', before, 'zero')),
    ...(latest && after === undefined ? [] : durationMistakes('within.after', after, 'zero')),
  ]
}

function beforeLatestMistakes(before: unknown): string[] {
  if (before === undefined) return []
  return [
    "within.before: with match 'latest', a right event is never joined with a later left one; only after is allowed",
  ]
}

function maxPerKeyMistakes(maxPerKey: unknown): string[] {
  return maxPerKey === undefined || isWhole(maxPerKey, 1, MAX_PER_KEY)
    ? []
    : [`maxPerKey: must be a whole number from 1 to ${MAX_PER_KEY}, not ${shown(maxPerKey)}`]
}

function selectMistakes(select: unknown): string[] {
  return typeof select === 'function' ? [] : [`select: must be a function, not ${shown(select)}`]
}
