/** The rules of a join: what users write, with the defaults, and times as microseconds. */
import { readDuration } from '../windows/durations.js'
import type { Micros } from '../windows/micros.js'

/** Which events are emitted alone if nothing is joined with them: none, those of the left side, those of both. */
export type JoinKind = 'inner' | 'left' | 'outer'
export const JOIN_KINDS: readonly JoinKind[] = ['inner', 'left', 'outer']

/**
 * Which of the left events within the bounds a right one is joined with: all of them, the one with the earliest time, or
 * the one with the latest time that is not after its own.
 */
export type JoinMatch = 'all' | 'first' | 'latest'
export const JOIN_MATCHES: readonly JoinMatch[] = ['all', 'first', 'latest']

/** How far apart two events may be, in durations such as `'10m'`. Both bounds are inclusive. */
export interface JoinBounds {
  /** How long before the left event the right one may occur. */
  before?: string
  /** How long after the left event the right one may occur. */
  after?: string
}

/** The part of a definition that says which events are joined. */
export interface WrittenJoinRules {
  kind?: JoinKind
  match?: JoinMatch
  within?: JoinBounds
  maxPerKey?: number
}

export interface JoinRules {
  readonly kind: JoinKind
  readonly match: JoinMatch
  /** A right event is joined with a left one from `before` before it… */
  readonly before: Micros
  /** … to `after` after it; `undefined`: without an end. */
  readonly after: Micros | undefined
  /** The most events of a key that wait on one side. */
  readonly maxPerKey: number
}

const MAX_PER_KEY = 1_000

/** Reads the rules, with the defaults. Throws a TypeError that names the wrong duration. */
export function readJoinRules({ kind, match, within, maxPerKey }: WrittenJoinRules): JoinRules {
  const latest = match === 'latest'
  const bound = (name: 'before' | 'after') => readDuration(`within.${name}:`, within?.[name], 'zero')
  return {
    kind: kind ?? 'inner',
    match: match ?? 'all',
    before: latest ? 0n : bound('before'),
    after: latest && within?.after === undefined ? undefined : bound('after'),
    maxPerKey: maxPerKey ?? MAX_PER_KEY,
  }
}
