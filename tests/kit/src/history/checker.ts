/**
 * The checker: decides from the clients' journal and the rows of the database whether every guarantee held. It receives
 * everything piece by piece, reads no clock and does no IO.
 */
import type { Attempt, SentEvent } from './journal.js'
import { createFindings, type Verdict } from './verdict.js'

/** A row of `processed_events` or `failed_events`. */
export interface EndRow {
  id: string
  /** `replaying`, `replayed`: a dead letter that an operator has replayed; the outcome of that is another row. */
  end: 'processed' | 'dead' | 'replaying' | 'replayed'
  attempts: number
  /** Failed attempts in its history, since the last replay. */
  failures: number
  /** The cause of a dead letter. */
  errorClass?: string
  /** An operator has replayed it at some time. */
  again?: boolean
}

/** A row of the handler's table `effects`; `at` rises with every insert. */
export interface EffectRow {
  at: number
  id: string
  key: string
  n: number
}

/** A row of the handler's aggregate. */
export interface TotalRow {
  key: string
  count: number
  sum: number
}

/** A change of a partition's owner and epoch. */
export interface OwnerRow {
  partition: number
  epoch: number
  owner: string | null
}

/** The part of a settled batch in one partition, as a trigger saw it. `stale`: the epoch was over before the COMMIT. */
export interface WriteRow {
  partition: number
  worker: string
  owner: string | null
  epoch: number
  stale: boolean
}

export interface Checker {
  /** In the order of the journal. */
  attempt(attempt: Attempt): void
  accepted(id: string): void
  /** An operator has skipped it: it may be a dead letter although it is sound. */
  skipped(id: string): void
  ended(row: EndRow): void
  /** In the order of `at`. */
  effect(row: EffectRow): void
  total(row: TotalRow): void
  /** In the order in which they happened. */
  owner(row: OwnerRow): void
  /** In the order in which they happened. */
  write(row: WriteRow): void
  /** Something left after everything was drained: its name and its count. */
  remains(name: string, count: number): void
  verdict(): Verdict
}

interface Known extends SentEvent {
  op: number
  index: number
  /** When its first attempt began. */
  from: number
  /** When the first attempt that was answered as accepted ended. */
  ackedAt: number
  accepted: boolean
  processed: boolean
  dead: string | undefined
  skipped: boolean
  /** An operator has replayed it: it comes after later events. */
  again: boolean
  effects: number
  firstEffectAt: number
}

export function createChecker(): Checker {
  const known = new Map<string, Known>()
  const operations = new Map<number, Known[]>()
  const findings = createFindings()
  const recount = new Map<string, { count: number; sum: number }>()
  const epochs = new Map<number, OwnerRow>()
  const written = new Map<number, WriteRow>()
  const counts = { attempts: 0, accepted: 0, effects: 0, writes: 0 }

  function sent(op: number, from: number, events: readonly SentEvent[]): Known[] {
    const operation = events.map((event, index) => {
      const record: Known = {
        ...event,
        ...{ op, index, from, ackedAt: Number.POSITIVE_INFINITY, accepted: false, processed: false, dead: undefined },
        ...{ skipped: false, again: false, effects: 0, firstEffectAt: 0 },
      }
      known.set(event.id, record)
      return record
    })
    operations.set(op, operation)
    return operation
  }

  return {
    attempt({ op, from, until, result, detail, events }) {
      counts.attempts++
      const operation = operations.get(op) ?? sent(op, from, events ?? [])
      if (result === 'refused') findings.add('refused', () => `operation ${op} was refused: ${detail}`)
      if (result !== 'ok') return
      for (const event of operation) event.ackedAt = Math.min(event.ackedAt, until)
    },

    accepted(id) {
      counts.accepted++
      const event = known.get(id)
      if (event) event.accepted = true
      else findings.add('unexpected', () => `raw_events holds ${id}, which no client sent`)
    },

    skipped(id) {
      const event = known.get(id)
      if (event) event.skipped = true
      else findings.add('unexpected', () => `${id} was skipped, and was never sent`)
    },

    ended({ id, end, attempts, failures, errorClass, again = false }) {
      const event = known.get(id)
      if (!event) return findings.add('unexpected', () => `${id} is ${end}, and no client sent it`)
      event.again ||= again || end === 'replayed'
      if (end === 'replayed') return // its outcome is another row; if there is none, it is unsettled
      if (end === 'replaying') return findings.add('leftover', () => `${name(event)} is still being replayed`)
      if (end === 'processed') event.processed = true
      else event.dead = errorClass ?? 'unknown'
      const expected = end === 'processed' ? failures + 1 : failures
      if (attempts !== expected) {
        findings.add('attempts', () => `${name(event)} is ${end} with ${attempts} attempts and ${failures} failures`)
      }
    },

    effect({ at, id, key, n }) {
      counts.effects++
      const total = recount.get(key) ?? { count: 0, sum: 0 }
      recount.set(key, { count: total.count + 1, sum: total.sum + n })
      const event = known.get(id)
      if (!event) return findings.add('unexpected', () => `effect ${at} is of ${id}, which no client sent`)
      if (event.key !== key || event.n !== n) {
        findings.add('effect of other data', () => `${name(event)} had an effect as event ${n} of key ${key}`)
      }
      event.effects++
      if (event.effects === 1) event.firstEffectAt = at
      else findings.add('effect twice', () => `${name(event)} had effects ${event.firstEffectAt} and ${at}`)
    },

    total({ key, count, sum }) {
      const counted = recount.get(key) ?? { count: 0, sum: 0 }
      recount.delete(key)
      if (counted.count === count && counted.sum === sum) return
      const words = `the aggregate has ${count} events and the sum ${sum}, the effects make ${counted.count} and ${counted.sum}`
      findings.add('total', () => `key ${key}: ${words}`)
    },

    owner(row) {
      const before = epochs.get(row.partition)
      epochs.set(row.partition, row)
      if (!before || row.epoch > before.epoch) return
      const words = `from epoch ${before.epoch} (${before.owner}) to ${row.epoch} (${row.owner})`
      findings.add('epoch', () => `partition ${row.partition} went ${words}`)
    },

    write(row) {
      counts.writes++
      const { partition, worker, owner, epoch, stale } = row
      const before = written.get(partition)
      written.set(partition, row)
      const held = `partition ${partition} belonged to ${owner} in epoch ${epoch}`
      if (worker !== owner) findings.add('stale write', () => `${worker} settled, while ${held}`)
      else if (stale) findings.add('stale write', () => `${worker} settled, and ${held} no more at its COMMIT`)
      if (before && before.epoch > epoch) {
        findings.add('epoch', () => `partition ${partition} was written in epoch ${before.epoch} and later in ${epoch}`)
      }
    },

    remains(what, count) {
      if (count !== 0) findings.add('leftover', () => `${what}: ${count}`)
    },

    verdict() {
      for (const event of known.values()) checkEnds(event)
      for (const events of byKey(known.values())) checkOrder(events)
      for (const [key, { count }] of recount) findings.add('total', () => `key ${key}: ${count} effects, no aggregate`)
      const all = [...known.values()]
      return {
        violations: findings.all(),
        counts: {
          ...counts,
          sent: known.size,
          acknowledged: all.filter(({ ackedAt }) => Number.isFinite(ackedAt)).length,
          processed: all.filter(({ processed }) => processed).length,
          dead: all.filter(({ dead }) => dead !== undefined).length,
        },
      }
    },
  }

  function checkEnds(event: Known): void {
    const { ackedAt, accepted, processed, dead, effects, mayDie, skipped } = event
    const settled = processed || dead !== undefined
    if (Number.isFinite(ackedAt) && !accepted) {
      findings.add('lost', () => `${name(event)} was accepted at ${time(ackedAt)} and is in no table`)
    }
    if (accepted && !settled) {
      findings.add('unsettled', () => `${name(event)}, sent at ${time(event.from)}, has reached no end`)
    }
    if (processed && dead !== undefined)
      findings.add('two ends', () => `${name(event)} is processed and dead (${dead})`)
    if (dead !== undefined && !mayDie && !skipped) {
      findings.add('dead for no reason', () => `${name(event)} is sound, and is dead: ${dead}`)
    }
    if (processed && effects === 0) findings.add('effect lost', () => `${name(event)} is processed and had no effect`)
    if (!processed && effects > 0) {
      findings.add('effect without end', () => `${name(event)} had effect ${event.firstEffectAt} and is not processed`)
    }
  }

  /**
   * Checks the effects of a key in the order in which they happened: none may come after the effect of an event that
   * was sent when it had already been acknowledged. Events of one request are in the order of the request. Requests
   * that overlapped are in any order, and replayed events may come at any time.
   */
  function checkOrder(events: readonly Known[]): void {
    const happened = events
      .filter(({ effects, again }) => effects > 0 && !again)
      .sort((a, b) => a.firstEffectAt - b.firstEffectAt)
    let firstAcked: Known | undefined // of the effects later than the current one
    const firstOfOperation = new Map<number, Known>()
    for (const event of happened.reverse()) {
      const sibling = firstOfOperation.get(event.op)
      if (sibling && sibling.index < event.index) findings.add('order', () => inversion(sibling, event, 'same request'))
      if (!sibling || event.index < sibling.index) firstOfOperation.set(event.op, event)
      if (firstAcked && firstAcked.ackedAt < event.from) {
        const earlier = firstAcked
        const words = `acknowledged at ${time(earlier.ackedAt)}, sent at ${time(event.from)}`
        findings.add('order', () => inversion(earlier, event, words))
      }
      if (!firstAcked || event.ackedAt < firstAcked.ackedAt) firstAcked = event
    }
  }
}

function* byKey(events: Iterable<Known>): Generator<Known[]> {
  const keys = new Map<string, Known[]>()
  for (const event of events) {
    const others = keys.get(event.key)
    if (others) others.push(event)
    else keys.set(event.key, [event])
  }
  yield* keys.values()
}

function inversion(earlier: Known, later: Known, why: string): string {
  const effects = `yet effect ${later.firstEffectAt} came before effect ${earlier.firstEffectAt}`
  return `${name(later)} was sent after ${name(earlier)} (${why}), ${effects}`
}

function name({ id, key, n, op }: Known): string {
  return `event ${n} of key ${key} (${id}, operation ${op})`
}

function time(ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`
}
