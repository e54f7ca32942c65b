/** The checker against forged histories: a sound one passes, and every violation of a guarantee is found and named. */
import { describe, expect, test } from '@jest/globals'
import { type Checker, createChecker } from './checker.js'
import type { Attempt } from './journal.js'
import type { ViolationKind } from './verdict.js'

/** A history of three events of key `a`, two of them in one request, and one of key `b`. */
interface History {
  attempts: Attempt[]
  accepted: Parameters<Checker['accepted']>[0][]
  skipped: string[]
  ends: Parameters<Checker['ended']>[0][]
  effects: { id: string; key: string; n: number }[]
  totals: Parameters<Checker['total']>[0][]
  owners: Parameters<Checker['owner']>[0][]
  writes: Parameters<Checker['write']>[0][]
  left: number
}

const accepted = (id: string, at = 10) => ({ id, at })
const sent = (id: string, n: number) => ({ id, key: id[0]!, n, mayDie: false, refusedByGroup: false })
const processed = (id: string) => ({ id, end: 'processed' as const, attempts: 1, failures: 0 })
const dead = (id: string) => ({ id, end: 'dead' as const, attempts: 1, failures: 1, errorClass: 'PermanentError' })
const effect = (id: string, n: number) => ({ id, key: id[0]!, n })
const write = (epoch: number, worker: string, rest = {}) => ({
  ...{ partition: 0, worker, owner: worker, epoch, stale: false },
  ...rest,
})

/** For so long an id is known, in milliseconds. */
const KNOWN_MS = 1_000

function soundHistory(): History {
  return {
    attempts: [
      { op: 1, from: 0, until: 10, result: 'unknown', events: [sent('a1', 1), sent('a2', 2)] },
      { op: 1, from: 20, until: 30, result: 'ok' },
      { op: 2, from: 31, until: 40, result: 'ok', events: [sent('a3', 3)] },
      { op: 3, from: 5, until: 50, result: 'ok', events: [sent('b1', 1)] },
    ],
    accepted: ['a1', 'a2', 'a3', 'b1'].map((id) => accepted(id)),
    skipped: [],
    ends: ['a1', 'a2', 'a3', 'b1'].map(processed),
    effects: [effect('b1', 1), effect('a1', 1), effect('a2', 2), effect('a3', 3)],
    totals: [
      { key: 'a', count: 3, sum: 6 },
      { key: 'b', count: 1, sum: 1 },
    ],
    owners: [
      { partition: 0, epoch: 1, owner: 'w1' },
      { partition: 0, epoch: 2, owner: 'w2' },
    ],
    writes: [write(1, 'w1'), write(2, 'w2')],
    left: 0,
  }
}

function judge(change: (history: History) => void) {
  const history = soundHistory()
  change(history)
  const checker = createChecker(KNOWN_MS)
  for (const attempt of history.attempts) checker.attempt(attempt)
  for (const row of history.accepted) checker.accepted(row)
  for (const id of history.skipped) checker.skipped(id)
  for (const end of history.ends) checker.ended(end)
  history.effects.forEach((row, i) => {
    checker.effect({ at: i + 1, ...row })
  })
  for (const total of history.totals) checker.total(total)
  for (const owner of history.owners) checker.owner(owner)
  for (const row of history.writes) checker.write(row)
  checker.remains('entries', history.left)
  return checker.verdict()
}

const kindsOf = (change: (history: History) => void) => judge(change).violations.map(({ kind }) => kind)

/** The same without an event: neither settled nor with an effect. */
const never = (history: History, id: string) => {
  history.ends = history.ends.filter((end) => end.id !== id)
  history.effects = history.effects.filter((row) => row.id !== id)
  history.totals = [
    { key: 'a', count: 2, sum: 3 },
    { key: 'b', count: 1, sum: 1 },
  ]
}

/** The last event of key `a` is accepted again, and processed. */
const again = (history: History, first: object, at = 2_000) => {
  history.accepted[2] = { ...accepted('a3'), ...first }
  history.accepted.push(accepted('a3', at))
  history.ends.push(processed('a3'))
  history.effects.push(effect('a3', 3))
  history.totals[0] = { key: 'a', count: 4, sum: 9 }
}

test('a history without violations passes', () => {
  const { violations, counts } = judge(() => {})
  expect(violations).toEqual([])
  expect(counts).toEqual({
    ...{ attempts: 4, sent: 4, acknowledged: 4, accepted: 4, acceptedAgain: 0 },
    ...{ processed: 4, dead: 0, effects: 4, writes: 2, derived: 0, groupEffects: 0, groupDead: 0 },
    ...{ windowResults: 0, windowLate: 0, joinPairs: 0, joinAlone: 0, joinLate: 0 },
  })
})

describe('allowed is', () => {
  test('an event that was never acknowledged and is nowhere', () => {
    const change = (history: History) => {
      history.attempts[2]!.result = 'unknown'
      history.accepted.splice(2, 1)
      never(history, 'a3')
    }
    expect(kindsOf(change)).toEqual([])
  })

  test('an event that was never acknowledged and is processed', () => {
    expect(kindsOf((history) => (history.attempts[2]!.result = 'unknown'))).toEqual([])
  })

  test('any order of events whose requests overlapped', () => {
    const change = (history: History) => {
      history.attempts[2]!.from = 29
      history.effects = [effect('a3', 3), effect('a1', 1), effect('a2', 2), effect('b1', 1)]
    }
    expect(kindsOf(change)).toEqual([])
  })

  test('a dead letter of an event that may die', () => {
    const change = (history: History) => {
      history.attempts[2]!.events = [{ ...sent('a3', 3), mayDie: true }]
      never(history, 'a3')
      history.ends.push(dead('a3'))
    }
    expect(kindsOf(change)).toEqual([])
  })

  test('a dead letter of a sound event that an operator has skipped', () => {
    const change = (history: History) => {
      never(history, 'a3')
      history.skipped.push('a3')
      history.ends.push({ ...dead('a3'), errorClass: 'Skipped' })
    }
    expect(kindsOf(change)).toEqual([])
  })

  test('an event that is accepted again, once its id may be forgotten', () => {
    expect(kindsOf((history) => again(history, { removedAt: 1_500 }))).toEqual([])
  })

  test('an event that was replayed, and so comes after those that were sent later', () => {
    const change = (history: History) => {
      history.ends[0] = { ...processed('a1'), again: true }
      history.ends.push({ ...dead('a1'), end: 'replayed' })
      history.effects = [effect('a2', 2), effect('a3', 3), effect('a1', 1), effect('b1', 1)]
    }
    expect(kindsOf(change)).toEqual([])
  })
})

describe('detected is', () => {
  test.each<[string, object, number]>([
    ['while its id must be known', { removedAt: 20 }, 900],
    ['while its event is kept', {}, 2_000],
    ['before its event was removed', { removedAt: 3_000 }, 2_000],
  ])('an event that was accepted again %s', (_, first, at) => {
    expect(kindsOf((history) => again(history, first, at))).toEqual(['accepted twice', 'effect twice'])
  })

  test.each<[string, ViolationKind[], (history: History) => void]>([
    [
      'an acknowledged event that is nowhere',
      ['lost'],
      (history) => {
        history.accepted.splice(2, 1)
        never(history, 'a3')
      },
    ],
    ['a stored event that no client sent', ['unexpected'], ({ accepted }) => accepted.push({ id: 'x1', at: 10 })],
    ['a settled event that no client sent', ['unexpected'], ({ ends }) => ends.push(processed('x1'))],
    ['a refusal of a sound event', ['refused'], ({ attempts }) => (attempts[0]!.result = 'refused')],
    ['an event without an end', ['unsettled'], (history) => never(history, 'a3')],
    [
      'an event with two ends',
      ['two ends', 'dead for no reason'],
      ({ ends }) => ends.push({ ...dead('a3'), failures: 1 }),
    ],
    [
      'a dead letter of a sound event',
      ['dead for no reason'],
      (history) => {
        never(history, 'a3')
        history.ends.push(dead('a3'))
      },
    ],
    [
      'an effect that never happened',
      ['effect lost'],
      (history) => {
        const { ends } = history
        never(history, 'a3')
        history.ends = ends
      },
    ],
    [
      'an effect that happened twice',
      ['effect twice', 'total'],
      ({ effects }) => {
        effects.push(effect('a3', 3))
      },
    ],
    [
      'an effect of an event that was not processed',
      ['unsettled', 'effect without end'],
      ({ ends }) => {
        ends.splice(2, 1)
      },
    ],
    [
      'an event that was accepted again, once its id may be forgotten, and is settled once',
      ['unsettled'],
      (history) => {
        history.accepted[2] = { ...accepted('a3'), removedAt: 1_500 }
        history.accepted.push(accepted('a3', 2_000))
      },
    ],
    [
      'an event that overtook one which had been acknowledged before it was sent',
      ['order'],
      (history) => {
        history.effects = [effect('a1', 1), effect('a3', 3), effect('a2', 2), effect('b1', 1)]
      },
    ],
    [
      'an event that overtook another of its request',
      ['order'],
      (history) => {
        history.effects = [effect('a2', 2), effect('a1', 1), effect('a3', 3), effect('b1', 1)]
      },
    ],
    [
      'a dead letter that was replayed, and nothing came of it',
      ['unsettled'],
      (history) => {
        never(history, 'a3')
        history.ends.push({ ...dead('a3'), end: 'replayed' })
      },
    ],
    [
      'a dead letter that is still being replayed',
      ['leftover'],
      ({ ends }) => ends.push({ ...dead('a3'), end: 'replaying' }),
    ],
    [
      'a replayed event that is processed and dead',
      ['two ends', 'dead for no reason'],
      ({ ends }) => ends.push(dead('a3')),
    ],
    ['an event that was skipped and never sent', ['unexpected'], ({ skipped }) => skipped.push('x1')],
    [
      'an effect of other data than were sent',
      ['effect of other data'],
      (history) => {
        history.effects[3] = effect('a3', 300)
        history.totals[0]!.sum = 303
      },
    ],
    ['attempts that were counted twice', ['attempts'], ({ ends }) => (ends[0]!.attempts = 2)],
    ['an aggregate that is off', ['total'], ({ totals }) => (totals[0]!.sum = 7)],
    ['an aggregate that is missing', ['total'], ({ totals }) => totals.pop()],
    ['an epoch that came twice', ['epoch'], ({ owners }) => (owners[1]!.epoch = 1)],
    ['an epoch that went back', ['epoch'], ({ writes }) => writes.push(write(1, 'w1'))],
    [
      'a write by a worker that was not the owner',
      ['stale write'],
      ({ writes }) => writes.push(write(2, 'w1', { owner: 'w2' })),
    ],
    [
      'a write whose epoch ended before its COMMIT',
      ['stale write'],
      ({ writes }) => writes.push(write(2, 'w2', { stale: true })),
    ],
    ['what is left in Redis', ['leftover'], (history) => (history.left = 1)],
  ])('%s', (_, kinds, change) => {
    expect(kindsOf(change)).toEqual(kinds)
  })

  test('with the first counterexample in words', () => {
    const { violations } = judge((history) => {
      history.effects = [effect('a1', 1), effect('a3', 3), effect('a2', 2), effect('b1', 1)]
    })
    expect(violations[0]!.example).toBe(
      'event 3 of key a (a3, operation 2) was sent after event 2 of key a (a2, operation 1) ' +
        '(acknowledged at 0.030 s, sent at 0.031 s), yet effect 2 came before effect 3',
    )
  })
})
