/**
 * The checker: decides from the clients' journal and the rows of the database whether every guarantee held. It receives
 * everything piece by piece, reads no clock and does no IO.
 */
import { checkOrder } from './event-order.js'
import type { Attempt } from './journal.js'
import { checkEnds, type KnownEvent, nameOf, newlySent, seconds } from './known-event.js'
import { createOwnershipCheck, type OwnershipCheck } from './ownership-check.js'
import type { AcceptedRow, EffectRow, EndRow, TotalRow } from './rows.js'
import { createTotals } from './totals.js'
import { createFindings, type Findings, type Verdict } from './verdict.js'

export interface Checker extends OwnershipCheck {
  /** In the order of the journal. */
  attempt(attempt: Attempt): void
  /** In the order of acceptance. */
  accepted(row: AcceptedRow): void
  /** An operator has skipped it: it may be a dead letter although it is sound. */
  skipped(id: string): void
  ended(row: EndRow): void
  /** In the order of `at`. */
  effect(row: EffectRow): void
  total(row: TotalRow): void
  /** Something left after everything was drained: its name and its count. */
  remains(name: string, count: number): void
  verdict(): Verdict
}

/** `knownMs`: for so long after its acceptance an id must be known, in milliseconds; without it, forever. */
export function createChecker(knownMs = Number.POSITIVE_INFINITY): Checker {
  const findings = createFindings()
  const events = createEventHistory(findings, knownMs)
  const totals = createTotals(findings)
  const ownership = createOwnershipCheck(findings)
  const counts = { attempts: 0, accepted: 0, effects: 0, writes: 0 }

  return {
    attempt(attempt) {
      counts.attempts++
      events.attempt(attempt)
    },
    accepted(row) {
      counts.accepted++
      events.accepted(row)
    },
    skipped: events.skipped,
    ended: events.ended,
    effect(row) {
      counts.effects++
      totals.effect(row)
      events.effect(row)
    },
    total: totals.total,
    owner: ownership.owner,
    write(row) {
      counts.writes++
      ownership.write(row)
    },
    remains(what, count) {
      if (count !== 0) findings.add('leftover', () => `${what}: ${count}`)
    },
    verdict() {
      const all = events.all()
      for (const event of all) checkEnds(event, findings)
      checkOrder(all, findings)
      totals.checkMissing()
      return {
        violations: findings.all(),
        counts: {
          ...counts,
          sent: all.length,
          acknowledged: all.filter(({ ackedAt }) => Number.isFinite(ackedAt)).length,
          acceptedAgain: all.filter(({ accepted }) => accepted > 1).length,
          processed: all.filter(({ processed }) => processed > 0).length,
          dead: all.filter(({ dead }) => dead !== undefined).length,
        },
      }
    },
  }
}

interface EventHistory extends Pick<Checker, 'attempt' | 'accepted' | 'skipped' | 'ended' | 'effect'> {
  all(): KnownEvent[]
}

/** The history of each event that was sent. */
function createEventHistory(findings: Findings, knownMs: number): EventHistory {
  const known = new Map<string, KnownEvent>()
  const operations = new Map<number, KnownEvent[]>()

  function sent({ op, from, events = [] }: Attempt): KnownEvent[] {
    const operation = events.map((event, index) => newlySent(event, { op, index, from }))
    for (const event of operation) known.set(event.id, event)
    operations.set(op, operation)
    return operation
  }

  return {
    attempt(attempt) {
      const { op, until, result, detail } = attempt
      const operation = operations.get(op) ?? sent(attempt)
      if (result === 'refused') findings.add('refused', () => `operation ${op} was refused: ${detail}`)
      if (result !== 'ok') return
      for (const event of operation) event.ackedAt = Math.min(event.ackedAt, until)
    },

    accepted({ id, at, removedAt = Number.POSITIVE_INFINITY }) {
      const event = known.get(id)
      if (!event) return findings.add('unexpected', () => `raw_events holds ${id}, which was never sent`)
      const afterMs = at - event.acceptedAt
      if (event.accepted > 0 && (afterMs < knownMs || at < event.removedAt)) {
        findings.add('accepted twice', () => `${nameOf(event)}, the second time after ${seconds(afterMs)}`)
      } else {
        event.again ||= event.accepted > 0
        event.accepted++
      }
      event.acceptedAt = at
      event.removedAt = removedAt
    },

    skipped(id) {
      const event = known.get(id)
      if (event) event.skipped = true
      else findings.add('unexpected', () => `${id} was skipped, and was never sent`)
    },

    ended({ id, end, attempts, failures, errorClass, again = false }) {
      const event = known.get(id)
      if (!event) return findings.add('unexpected', () => `${id} is ${end}, and was never sent`)
      event.again ||= again || end === 'replayed'
      if (end === 'replayed') return // its outcome is another row; if there is none, it is unsettled
      if (end === 'replaying') return findings.add('leftover', () => `${nameOf(event)} is still being replayed`)
      if (end === 'processed') event.processed++
      else {
        event.letters++
        event.dead = errorClass ?? 'unknown'
      }
      const expected = end === 'processed' ? failures + 1 : failures
      if (attempts !== expected) {
        findings.add('attempts', () => `${nameOf(event)} is ${end} with ${attempts} attempts and ${failures} failures`)
      }
    },

    effect({ at, id, key, n }) {
      const event = known.get(id)
      if (!event) return findings.add('unexpected', () => `effect ${at} is of ${id}, which was never sent`)
      if (event.key !== key || event.n !== n) {
        findings.add('effect of other data', () => `${nameOf(event)} had an effect as event ${n} of key ${key}`)
      }
      event.effects++
      if (event.effects === 1) event.firstEffectAt = at
      else if (event.effects > event.accepted)
        findings.add('effect twice', () => `${nameOf(event)} had effects ${event.firstEffectAt} and ${at}`)
    },

    all: () => [...known.values()],
  }
}
