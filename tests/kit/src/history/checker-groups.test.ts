/** The checker against forged histories with consumer groups: it finds and names every violation of their guarantees. */
import { describe, expect, test } from '@jest/globals'
import { createChecker } from './checker.js'
import type { AcceptedRow, EntryRow, GroupEffectRow, GroupLetterRow } from './rows.js'
import type { ViolationKind } from './verdict.js'

/** Three events of one key: the first two lead to `derived 1` and `derived 2`, and the third is refused by the group. */
interface History {
  accepted: AcceptedRow[]
  /** The ids in the order of the effects of their own handlers. */
  effects: string[]
  entries: EntryRow[]
  groupEffects: Omit<GroupEffectRow, 'at'>[]
  letters: GroupLetterRow[]
  parked: number
}

const SEQS: Record<string, number> = { first: 1, second: 2, refused: 3, 'derived 1': 4, 'derived 2': 5 }
const NUMBERS: Record<string, number> = { first: 1, second: 2, refused: 3, 'derived 1': 1, 'derived 2': 2 }

const row = (id: string) => ({ id, seq: SEQS[id]!, key: 'k', partition: 0 })
const entry = (id: string, position = 10 * SEQS[id]!): EntryRow => {
  return { ...row(id), position, isLeading: id === 'first' || id === 'second', unread: false }
}
const letter = (id: string, group = 'fault-group') => ({ seq: SEQS[id]!, group, status: 'open', message: 'no' })
const derived = (id: string, cause: string, at = 10): AcceptedRow => {
  return { id, at, derived: { seq: SEQS[id]!, key: 'k', cause } }
}

const soundHistory = (): History => ({
  accepted: [
    ...['first', 'second', 'refused'].map((id) => ({ id, at: 10 })),
    derived('derived 1', 'first'),
    derived('derived 2', 'second'),
  ],
  effects: Object.keys(SEQS),
  entries: Object.keys(SEQS).map((id) => entry(id)),
  groupEffects: ['first', 'second', 'derived 1', 'derived 2'].map(row),
  letters: [letter('refused')],
  parked: 0,
})

function judge(change: (history: History) => void) {
  const history = soundHistory()
  change(history)
  const checker = createChecker(1_000)
  const sent = ['first', 'second', 'refused'].map((id) => {
    return { id, key: 'k', n: NUMBERS[id]!, mayDie: false, refusedByGroup: id === 'refused' }
  })
  checker.attempt({ op: 1, from: 0, until: 10, result: 'ok', events: sent })
  for (const row of history.accepted) checker.accepted(row)
  for (const { id } of history.entries) checker.ended({ id, end: 'processed', attempts: 1, failures: 0 })
  history.effects.forEach((id, i) => {
    checker.effect({ at: i + 1, id, key: 'k', n: NUMBERS[id]! })
  })
  const sum = history.effects.reduce((sum, id) => sum + NUMBERS[id]!, 0)
  checker.total({ key: 'k', count: history.effects.length, sum })
  for (const row of history.entries) checker.entry(row)
  history.groupEffects.forEach((row, i) => {
    checker.groupEffect({ at: i + 1, ...row })
  })
  for (const row of history.letters) checker.groupLetter(row)
  checker.remains('events that consumer groups have parked', history.parked)
  return checker.verdict()
}

const kindsOf = (change: (history: History) => void) => judge(change).violations.map(({ kind }) => kind)

/** A history without an event of a group: it was neither accepted nor settled. */
function never(history: History, id: string): void {
  history.accepted = history.accepted.filter((row) => row.id !== id)
  history.effects = history.effects.filter((other) => other !== id)
  history.entries = history.entries.filter((row) => row.id !== id)
  history.groupEffects = history.groupEffects.filter((row) => row.id !== id)
}

test('a history without violations passes', () => {
  const { violations, counts } = judge(() => {})
  expect(violations).toEqual([])
  expect(counts).toMatchObject({ sent: 3, derived: 2, accepted: 5, processed: 5, groupEffects: 4, groupDead: 1 })
})

describe('allowed is', () => {
  test('an entry that retention has removed before the groups have read it', () => {
    const change = (history: History) => {
      never(history, 'derived 2')
      history.entries[1]!.unread = true
      history.groupEffects = history.groupEffects.filter(({ id }) => id !== 'second')
    }
    expect(kindsOf(change)).toEqual([])
  })

  test('an event of the same id that leads to another one again, once both ids may be forgotten', () => {
    const change = (history: History) => {
      for (const row of history.accepted) row.removedAt = 1_500
      for (const [id, seq] of [
        ['first', 6],
        ['derived 1', 7],
      ] as const) {
        history.accepted.push(
          id === 'first' ? { id, at: 2_000 } : { id, at: 2_000, derived: { seq, key: 'k', cause: 'first' } },
        )
        history.effects.push(id)
        history.entries.push({ ...entry(id, 10 * seq), seq })
        history.groupEffects.push({ ...row(id), seq })
      }
    }
    expect(kindsOf(change)).toEqual([])
  })
})

describe('detected is', () => {
  test.each<[string, ViolationKind[], (history: History) => void]>([
    ['an entry without an effect', ['group effect lost'], ({ groupEffects }) => groupEffects.splice(0, 1)],
    ['an effect that happened twice', ['group effect twice'], ({ groupEffects }) => groupEffects.push(row('first'))],
    [
      'an effect of an event that is not in the log',
      ['group effect without entry'],
      ({ groupEffects }) => groupEffects.push({ ...row('first'), seq: 99 }),
    ],
    [
      'a dead letter of an event that is not in the log',
      ['group effect without entry'],
      ({ letters }) => letters.push({ ...letter('first'), seq: 99 }),
    ],
    [
      'an effect of another key',
      ['group effect of other data'],
      ({ groupEffects }) => (groupEffects[0]!.key = 'other'),
    ],
    [
      'an effect and a dead letter of one event',
      ['group two ends'],
      ({ groupEffects }) => groupEffects.splice(2, 0, row('refused')),
    ],
    [
      'a dead letter of an event that the group does not refuse',
      ['group dead for no reason'],
      ({ groupEffects, letters }) => {
        groupEffects.splice(0, 1)
        letters.push(letter('first'))
      },
    ],
    [
      'effects in another order than the log has',
      ['group order'],
      ({ groupEffects }) => groupEffects.unshift(...groupEffects.splice(1, 1)),
    ],
    ['a dead letter that is being replayed', ['leftover'], ({ letters }) => (letters[0]!.status = 'replaying')],
    ['a parked event', ['leftover'], (history) => (history.parked = 1)],
    ['an event that led to none', ['derived lost'], (history) => never(history, 'derived 2')],
    [
      'an event that led to two',
      ['derived twice'],
      (history) => {
        history.accepted.push({ id: 'derived 3', at: 10, derived: { seq: 6, key: 'k', cause: 'second' } })
        NUMBERS['derived 3'] = 2
        history.effects.push('derived 3')
        history.entries.push({ ...entry('derived 2', 60), id: 'derived 3', seq: 6 })
        history.groupEffects.push({ ...row('derived 2'), id: 'derived 3', seq: 6 })
      },
    ],
    [
      'an emitted event whose cause is not in the log',
      ['group effect without entry', 'unsettled', 'effect without end', 'derived without cause'],
      (history) => {
        history.entries = history.entries.filter(({ id }) => id !== 'second')
      },
    ],
    [
      'an emitted event whose cause does not lead to others',
      ['derived lost', 'derived without cause'],
      (history) => {
        history.entries[1]!.isLeading = false
        history.entries[2]!.isLeading = true
      },
    ],
    [
      'an emitted event whose cause was never sent',
      ['unexpected'],
      ({ accepted }) => accepted.push({ id: 'x', at: 10, derived: { seq: 6, key: 'k', cause: 'never sent' } }),
    ],
    [
      'an emitted event with another key than its cause',
      ['unexpected'],
      ({ accepted }) => accepted.push({ id: 'x', at: 10, derived: { seq: 6, key: 'other', cause: 'first' } }),
    ],
    [
      'emitted events that were accepted in another order than the log has',
      ['derived order'],
      ({ entries, groupEffects }) => {
        entries[0]!.position = 20
        entries[1]!.position = 10
        groupEffects.unshift(...groupEffects.splice(1, 1))
      },
    ],
    [
      'emitted events that took effect in another order than they were accepted',
      ['derived order'],
      ({ effects }) => effects.push(...effects.splice(3, 1)),
    ],
    [
      'a dead letter of the group that emits',
      ['group dead for no reason'],
      (history) => {
        history.letters.push(letter('second', 'fault-emitting'))
        never(history, 'derived 2')
      },
    ],
  ])('%s', (_, kinds, change) => {
    expect(kindsOf(change).toSorted()).toEqual(kinds.toSorted())
  })

  test('with the first counterexample in words', () => {
    const { violations } = judge(({ groupEffects }) => groupEffects.unshift(...groupEffects.splice(1, 1)))
    expect(violations[0]!.example).toBe(
      'the entry at 20 of partition 0 (second, key k) had effect 1 of the group, before effect 2 of ' +
        'the entry at 10 of partition 0 (first, key k)',
    )
  })
})
