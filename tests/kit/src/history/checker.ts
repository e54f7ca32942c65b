/**
 * The checker: decides from the clients' journal and the rows of the database whether every guarantee held. It receives
 * everything piece by piece, reads no clock and does no IO.
 */
import { createDerivedCheck, type DerivedCheck } from './derived-check.js'
import { checkOrder } from './event-order.js'
import { FAULT_JOINS } from './fault-joins.js'
import { FAULT_WINDOWS } from './fault-windows.js'
import { createGroupCheck, type GroupCheck } from './group-check.js'
import { checkJoin } from './join-check.js'
import type { Attempt } from './journal.js'
import { checkEnds, derivedFrom, type KnownEvent, nameOf, newlySent, seconds } from './known-event.js'
import { createOwnershipCheck, type OwnershipCheck } from './ownership-check.js'
import type { AcceptedRow, EffectRow, EndRow, TotalRow } from './rows.js'
import { createTotals } from './totals.js'
import { createFindings, type Findings, type Verdict } from './verdict.js'
import { checkWindow } from './window-check.js'
import type { JoinHistory, WindowHistory } from './window-rows.js'

export interface Checker extends OwnershipCheck, GroupCheck {
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
  /** One of the windows of the fault tests. After the journal and the accepted events. */
  window(history: WindowHistory): void
  /** One of the joins. After the same. */
  join(history: JoinHistory): void
  /** Something left after everything was drained: its name and its count. */
  remains(name: string, count: number): void
  verdict(): Verdict
}

/** `knownMs`: for so long after its acceptance an id must be known, in milliseconds; without it, forever. */
export function createChecker(knownMs = Number.POSITIVE_INFINITY): Checker {
  const findings = createFindings()
  const derived = createDerivedCheck(findings)
  const events = createEventHistory(findings, knownMs, derived)
  const group = createGroupCheck(findings, events.isRefusedByGroup)
  const totals = createTotals(findings)
  const ownership = createOwnershipCheck(findings)
  const counts = {
    ...{ attempts: 0, accepted: 0, effects: 0, writes: 0, windowResults: 0, windowLate: 0 },
    ...{ joinPairs: 0, joinAlone: 0, joinLate: 0 },
  }

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
    entry(row) {
      group.entry(row)
      derived.entry(row)
    },
    groupEffect: group.groupEffect,
    groupLetter(row) {
      group.groupLetter(row)
      derived.groupLetter(row)
    },
    owner: ownership.owner,
    write(row) {
      counts.writes++
      ownership.write(row)
    },
    window(history) {
      counts.windowResults += history.results.length
      counts.windowLate += history.late.length + history.letters.length
      const spec = FAULT_WINDOWS.find(({ name }) => name === history.name)!
      checkWindow(findings, spec, history, events.numberOf)
    },
    join(history) {
      const spec = FAULT_JOINS.find(({ name }) => name === history.name)!
      const { pairs, alone } = checkJoin(findings, spec, history, events.numberOf)
      counts.joinPairs += pairs
      counts.joinAlone += alone
      counts.joinLate += history.late.length + history.letters.length
    },
    remains(what, count) {
      if (count !== 0) findings.add('leftover', () => `${what}: ${count}`)
    },
    verdict() {
      const all = events.all()
      for (const event of all) checkEnds(event, findings)
      checkOrder(all, findings)
      totals.checkMissing()
      group.check()
      derived.check()
      return {
        violations: findings.all(),
        counts: {
          ...counts,
          ...group.counts(),
          sent: all.filter(({ cause }) => !cause).length,
          derived: all.filter(({ cause, accepted }) => cause && accepted > 0).length,
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
  isRefusedByGroup(id: string): boolean
  /** The number that a client has sent in an event. */
  numberOf(id: string): number
}

/** The history of each event that was sent or emitted. */
function createEventHistory(findings: Findings, knownMs: number, derived: DerivedCheck): EventHistory {
  const known = new Map<string, KnownEvent>()
  const operations = new Map<number, KnownEvent[]>()

  function sent({ op, from, events = [] }: Attempt): KnownEvent[] {
    const operation = events.map((event, index) => newlySent(event, { op, index, from }))
    for (const event of operation) known.set(event.id, event)
    operations.set(op, operation)
    return operation
  }

  /** The event of an accepted row: one that was sent, or emitted because of one that was sent. */
  function acceptedEvent({ id, derived: row }: AcceptedRow): KnownEvent | undefined {
    const cause = row && known.get(row.cause)
    const event = known.get(id) ?? (cause && derivedFrom(cause, { id, seq: row!.seq }))
    if (!event || (row && (event.cause !== cause || event.key !== row.key))) return undefined
    known.set(id, event)
    if (row) derived.derived(event, row.seq)
    return event
  }

  return {
    attempt(attempt) {
      const { op, until, result, detail } = attempt
      const operation = operations.get(op) ?? sent(attempt)
      if (result === 'refused') findings.add('refused', () => `operation ${op} was refused: ${detail}`)
      if (result !== 'ok') return
      for (const event of operation) event.ackedAt = Math.min(event.ackedAt, until)
    },

    accepted(row) {
      const { id, at, removedAt = Number.POSITIVE_INFINITY } = row
      const event = acceptedEvent(row)
      if (!event) {
        const words = row.derived ? `emitted because of ${row.derived.cause} with key ${row.derived.key}` : 'never sent'
        return findings.add('unexpected', () => `raw_events holds ${id}, which was ${words}`)
      }
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
      if (event.cause) derived.derivedEffect(event)
      if (event.effects === 1) event.firstEffectAt = at
      else if (event.effects > event.accepted)
        findings.add('effect twice', () => `${nameOf(event)} had effects ${event.firstEffectAt} and ${at}`)
    },

    all: () => [...known.values()],
    isRefusedByGroup: (id) => known.get(id)?.refusedByGroup === true,
    numberOf: (id) => known.get(id)?.n ?? Number.NaN,
  }
}
