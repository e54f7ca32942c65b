/** The findings of the checker. */

/**
 * The violations:
 * - `lost`: answered as accepted, and no row of it
 * - `accepted twice`: though its id had to be known still
 * - `unexpected`: accepted or settled, and never sent
 * - `refused`: a sound event was refused permanently
 * - `unsettled`: accepted, and still unsettled after everything was drained
 * - `two ends`: processed, and a dead letter too
 * - `dead for no reason`: a dead letter, though nothing was wrong with the event
 * - `effect lost`, `effect twice`, `effect without end`: effects that do not match the processed events
 * - `effect of other data`: the handler was given other data than were sent
 * - `order`: the effects of a key in another order than its events were sent, one after the other
 * - `attempts`: more or fewer attempts were counted than failures are in the event's history
 * - `total`: the handler's aggregate differs from a recount of the effects
 * - `epoch`: the epoch of a partition did not rise with its owner
 * - `stale write`: settled by a worker that did not own the partition when the transaction was committed
 * - `group effect lost`, `group effect twice`, `group effect without entry`: effects of a consumer group that do not match
 *   the entries of the log
 * - `group effect of other data`: the group was given another event than the log has
 * - `group two ends`: the group has handled an event, and has a dead letter of it
 * - `group dead for no reason`: the group has a dead letter, though nothing was wrong with the event
 * - `group order`: the group has handled the events of a key in another order than the log has them
 * - `derived lost`, `derived twice`, `derived without cause`: emitted events that do not match the events that lead to them
 * - `derived order`: emitted events of a key were accepted, or took effect, in another order than those that led to them
 * - `window result lost`, `window result wrong`: what a window has found, compared with a recount of the log
 * - `window state wrong`: an open window has counted other events than the log has
 * - `window late event lost`, `window late event wrong`: late events that do not match the log
 * - `window event misplaced`: not all events of a key are in one window, or late
 * - `window watermark`: event time is elsewhere than the entries and the marks of the log lead to
 * - `window dead for no reason`: a window has a dead letter of an event that was not late
 * - `window emitted lost`, `window emitted twice`, `window emitted wrong`: emitted events that do not match the results
 * - `join pair lost`: two events of the log belong together, and no event was emitted for them
 * - `join alone lost`: event time has passed the bounds of an event that nothing is joined with, and it was not emitted
 * - `join emitted twice`: more than one event was emitted for the same pair, or for the same event alone
 * - `join emitted wrong`: an event was emitted for what the log does not have, or has not yet, or with other content
 * - `join state wrong`: other events wait to be joined than the log leads to
 * - `join event misplaced`: an event is in two places, such as late and joined, or alone and joined; or in none
 * - `join watermark`, `join late event lost`, `join late event wrong`, `join dead for no reason`: as those of windows
 * - `leftover`: something waits in Redis, in `retries` or in a consumer group after everything was drained
 */
export type ViolationKind =
  | 'lost'
  | 'accepted twice'
  | 'unexpected'
  | 'refused'
  | 'unsettled'
  | 'two ends'
  | 'dead for no reason'
  | 'effect lost'
  | 'effect twice'
  | 'effect without end'
  | 'effect of other data'
  | 'order'
  | 'attempts'
  | 'total'
  | 'epoch'
  | 'stale write'
  | 'group effect lost'
  | 'group effect twice'
  | 'group effect without entry'
  | 'group effect of other data'
  | 'group two ends'
  | 'group dead for no reason'
  | 'group order'
  | 'derived lost'
  | 'derived twice'
  | 'derived without cause'
  | 'derived order'
  | 'window result lost'
  | 'window result wrong'
  | 'window state wrong'
  | 'window late event lost'
  | 'window late event wrong'
  | 'window event misplaced'
  | 'window watermark'
  | 'window dead for no reason'
  | 'window emitted lost'
  | 'window emitted twice'
  | 'window emitted wrong'
  | 'join pair lost'
  | 'join alone lost'
  | 'join emitted twice'
  | 'join emitted wrong'
  | 'join state wrong'
  | 'join event misplaced'
  | 'join watermark'
  | 'join late event lost'
  | 'join late event wrong'
  | 'join dead for no reason'
  | 'leftover'

export interface Violation {
  kind: ViolationKind
  count: number
  /** The first one, in words. */
  example: string
}

export interface Verdict {
  violations: Violation[]
  counts: Record<
    | 'attempts'
    | 'sent'
    | 'acknowledged'
    | 'accepted'
    | 'acceptedAgain'
    | 'processed'
    | 'dead'
    | 'effects'
    | 'writes'
    | 'derived'
    | 'groupEffects'
    | 'groupDead'
    | 'windowResults'
    | 'windowLate'
    | 'joinPairs'
    | 'joinAlone'
    | 'joinLate',
    number
  >
}

/** Collects violations: the count of each kind, and the first in words. */
export interface Findings {
  add(kind: ViolationKind, describe: () => string): void
  all(): Violation[]
}

export function createFindings(): Findings {
  const found = new Map<ViolationKind, Violation>()
  return {
    add(kind: ViolationKind, describe: () => string): void {
      const known = found.get(kind)
      if (known) known.count++
      else found.set(kind, { kind, count: 1, example: describe() })
    },
    all: () => [...found.values()],
  }
}

/** A verdict for people. */
export function describeVerdict({ violations, counts }: Verdict): string {
  const figures = Object.entries(counts).map(([name, count]) => `${name} ${count.toLocaleString('en')}`)
  if (violations.length === 0) return `nothing lost, nothing twice, all in order: ${figures.join(', ')}`
  const lines = violations.map(({ kind, count, example }) => `${kind} (${count}): ${example}`)
  return [`${violations.length} kinds of violations: ${figures.join(', ')}`, ...lines].join('\n  ')
}
