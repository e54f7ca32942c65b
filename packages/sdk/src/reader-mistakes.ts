/** Checks that the definitions of all readers of the log share: consumers, windows and joins. */
import { readDuration, readTime } from '@eventflow/core'
import { choiceMistakes, isRecord, isWhole, looked, shown, typeMistakes, unknownFields } from './definition-mistakes.js'

const NAME = /^[a-z][a-z0-9._-]{0,99}$/
/** Limit of the column `version`, an integer. */
const MAX_VERSION = 2_147_483_647

export function nameMistakes(name: unknown): string[] {
  if (typeof name === 'string' && NAME.test(name)) return []
  const form = "1 to 100 lower-case letters, digits, '-', '_' and '.', beginning with a letter"
  return [`name: must be ${form}, not ${shown(name)}`]
}

export function versionMistakes(version: unknown): string[] {
  return version === undefined || isWhole(version, 1, MAX_VERSION)
    ? []
    : [`version: must be a whole number from 1 to ${MAX_VERSION}, not ${shown(version)}`]
}

/** A list of event types, which `field` holds. */
export function typesMistakes(field: string, events: unknown): string[] {
  if (!Array.isArray(events)) return [`${field}: must be a list of event types, not ${shown(events)}`]
  if (events.length === 0) return [`${field}: must name at least one event type`]
  const mistakes: string[] = []
  const types = new Set<unknown>()
  for (const [index, type] of events.entries()) {
    const place = `${field}[${index}]`
    const wrong = typeMistakes(place, type)
    if (wrong.length === 0 && types.has(type)) mistakes.push(`${place}: ${JSON.stringify(type)} is named twice`)
    mistakes.push(...wrong)
    types.add(type)
  }
  return mistakes
}

export function fromMistakes(from: unknown): string[] {
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

/** `onPoison` and `onLostHistory`. */
export function onMistakes({ onPoison, onLostHistory }: Record<string, unknown>): string[] {
  return [
    ...looked('onPoison', () => choiceMistakes('onPoison', onPoison, ['dead-letter', 'pause'])),
    ...looked('onLostHistory', () => choiceMistakes('onLostHistory', onLostHistory, ['pause', 'skip'])),
  ]
}

/** How a window or a join follows event time. */
export function eventTimeMistakes(time: unknown): string[] {
  if (time === undefined) return []
  if (!isRecord(time)) return [`time: must be an object with outOfOrderness and idle, not ${shown(time)}`]
  const { outOfOrderness, idle } = time
  return [
    ...unknownFields(time, new Set(['outOfOrderness', 'idle']), 'time.'),
    ...(outOfOrderness === undefined ? [] : durationMistakes('time.outOfOrderness', outOfOrderness, 'zero')),
    ...(idle === undefined || idle === 'never'
      ? []
      : durationMistakes('time.idle', idle).map((mistake) => `${mistake}; or 'never'`)),
  ]
}

/** A duration such as `'30s'`, which `field` holds; with `zero`, it may be 0. */
export function durationMistakes(field: string, duration: unknown, zero?: 'zero'): string[] {
  try {
    readDuration(`${field}:`, duration, zero)
    return []
  } catch (error) {
    return [(error as Error).message]
  }
}
