/** Parses arguments of commands: numbers, times and filters. */
import type { DeadLetterFilter } from '@eventflow/client'
import { InvalidArgumentError } from 'commander'

/** The arguments cannot be used; the message says what to add. Ends a command with exit code 64. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Returns a parser of integers in a range. */
export function wholeNumber(lowest: number, highest: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (Number.isInteger(number) && number >= lowest && number <= highest) return number
    throw new InvalidArgumentError(`Expected a whole number from ${lowest} to ${highest}.`)
  }
}

/** Parses the name of a tenant. */
export function tenantName(text: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(text)) return text
  throw new InvalidArgumentError('Expected 1 to 63 characters of a-z, 0-9 and hyphens.')
}

const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400 } as Record<string, number>

/** Parses a time, in RFC 3339 or as an age (`90s`, `15m`, `2h`, `7d`). Returns RFC 3339. */
export function readMoment(text: string): string {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const at = new Date(unit ? Date.now() - Number(amount) * UNITS[unit]! * 1_000 : text)
  if (!Number.isNaN(at.getTime())) return at.toISOString()
  throw new InvalidArgumentError(`"${text}" is neither a time (2026-01-31T12:00:00Z) nor an age (90s, 15m, 2h, 7d).`)
}

const FILTER_NAMES = 'type, error-class, key, id, since, until'

/** Adds one part of a filter, `name=value`, to the parts before it. */
export function addToFilter(part: string, before: DeadLetterFilter = {}): DeadLetterFilter {
  const [, name, value] = /^([a-z-]+)=(.+)$/s.exec(part) ?? []
  switch (name) {
    case 'type':
    case 'key':
      return { ...before, [name]: value }
    case 'error-class':
      return { ...before, error_class: value! }
    case 'id':
      return { ...before, ids: [...(before.ids ?? []), value!] }
    case 'since':
      return { ...before, from: readMoment(value!) }
    case 'until':
      return { ...before, to: readMoment(value!) }
    default:
      throw new InvalidArgumentError(`"${part}" is not name=value with one of ${FILTER_NAMES}.`)
  }
}
