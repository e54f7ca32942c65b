/** The check of joins against forged histories: it passes sound ones, and names every violation. */
import { uuidOf } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { FAULT_JOINS } from './fault-joins.js'
import { checkJoin } from './join-check.js'
import { createFindings, type ViolationKind } from './verdict.js'
import type { JoinedRow, JoinHistory, WaitingRow, WindowEntry } from './window-rows.js'

const SECOND = 1_000_000
const BEGAN = 1_700_000_000 * SECOND
const time = (seconds: number) => BigInt(BEGAN + seconds * SECOND)

/** The number of an event is its seq. */
function entry(seq: number, seconds: number, type = 'fault.leading', key = 'k'): WindowEntry {
  const ids = { seq, id: `${seq}`, type, position: 10 * seq, partition: 0, key }
  return { ...ids, occurred: time(seconds), accepted: time(100) }
}
const handled = (seq: number, seconds: number) => entry(seq, seconds, 'fault.handled')

const idOf = (left: number | null, right: number | null, generation = 1) =>
  uuidOf('default', `group:7:${generation}`, `join:${left ?? ''}:${right ?? ''}`)

/** What is emitted for a pair, because of the later of the two. */
function emitted(left: number | null, right: number | null, seconds: number, key = 'k'): JoinedRow {
  const text = (seq: number | null) => (seq === null ? null : `${seq}`)
  return {
    ...{ id: idOf(left, right), key, occurred: time(seconds), isSettled: true },
    cause: `${Math.max(left ?? 0, right ?? 0)}`,
    data: { left: text(left), right: text(right), sum: (left ?? 0) + (right ?? 0) },
  }
}

function waiting(side: 'left' | 'right', seq: number, seconds: number, until: number | 'ever', key = 'k'): WaitingRow {
  const expiresAt = until === 'ever' ? 2n ** 63n - 1n : time(until) + 1n
  return { partition: 0, key, side, at: time(seconds), seq, expiresAt, matched: false }
}

const NOTHING = {
  ...{ tenantId: 'default', groupId: 7, generation: 1, idle: 1_000_000n, isComplete: true },
  cursors: [{ partition: 0, began: 0, position: 1_000 }],
  ...{ marks: [], late: [], letters: [], waiting: [], emitted: [] },
}

/** A pair, two events alone, and one that waits; the fourth is late. */
function self(): JoinHistory {
  return {
    ...structuredClone(NOTHING),
    name: 'fault-joined-self',
    entries: [entry(1, 0), entry(2, 1.5), entry(3, 10), entry(4, 1), entry(5, 20)],
    late: [{ seq: 4, position: 40, watermark: time(9) }],
    waiting: [waiting('left', 5, 20, 22), waiting('right', 5, 20, 20.5)],
    times: [{ partition: 0, watermark: time(19), hold: undefined }],
    emitted: [emitted(1, 2, 1.5), emitted(2, null, 1.5), emitted(3, null, 10)],
  }
}

/**
 * A right event before all left ones, one at the time of a left one, and one that waits for its time to pass; a left
 * event that the next one replaces. The seventh is late. Events of another key let time pass.
 */
function latest(): JoinHistory {
  const entries = [handled(1, 1), entry(2, 2), handled(3, 2), entry(4, 5), entry(5, 8), handled(6, 8.5), handled(7, 1)]
  return {
    ...structuredClone(NOTHING),
    name: 'fault-joined-latest',
    entries: [...entries, entry(8, 9, 'fault.leading', 'other'), entry(9, 9.2, 'fault.leading', 'other')],
    letters: [{ seq: 7, message: 'LateEvent: it happened too early' }],
    waiting: [
      ...[waiting('left', 5, 8, 'ever'), waiting('right', 6, 8.5, 8.5)],
      ...[waiting('left', 8, 9, 9.2, 'other'), waiting('left', 9, 9.2, 'ever', 'other')],
    ],
    times: [{ partition: 0, watermark: time(8.2), hold: undefined }],
    emitted: [emitted(null, 1, 1), emitted(2, 3, 2), emitted(4, null, 5)],
  }
}

function judge(history: JoinHistory) {
  const findings = createFindings()
  const spec = FAULT_JOINS.find(({ name }) => name === history.name)!
  return { ...checkJoin(findings, spec, history, Number), found: findings.all() }
}

test.each([
  [self, { pairs: 1, alone: 2 }],
  [latest, { pairs: 1, alone: 2 }],
] as const)('a sound history passes: %p', (make, counts) => {
  expect(judge(make())).toEqual({ ...counts, found: [] })
})

test('a second generation has emitted what the first one has not', () => {
  const history = self()
  history.generation = 2
  history.emitted[2]!.id = idOf(3, null, 2)
  expect(judge(history).found).toEqual([])
})

test('what retention has removed has no data, and an id that was forgotten may be sent again', () => {
  const history = self()
  history.emitted[0]!.data = undefined
  history.entries.push({ ...entry(6, 40), id: '3' }, entry(7, 60))
  history.waiting = [waiting('left', 7, 60, 62), waiting('right', 7, 60, 60.5)]
  history.times[0]!.watermark = time(59)
  history.emitted.push(emitted(5, null, 20), { ...emitted(3, null, 40), id: idOf(3, null) })
  expect(judge(history).found).toEqual([])
})

test.each<[string, ViolationKind[], () => JoinHistory, (history: JoinHistory) => unknown]>([
  ['a pair that is missing', ['join pair lost', 'join event misplaced'], self, ({ emitted }) => emitted.shift()],
  ['a latest pair that is missing', ['join pair lost', 'join event misplaced'], latest, (h) => h.emitted.splice(1, 1)],
  ['an event alone that is missing', ['join alone lost', 'join event misplaced'], self, ({ emitted }) => emitted.pop()],
  [
    'a right event alone that is missing',
    ['join alone lost', 'join event misplaced'],
    latest,
    ({ emitted }) => emitted.shift(),
  ],
  [
    'a pair that two generations have emitted',
    ['join emitted twice'],
    self,
    (history) => {
      history.generation = 2
      history.emitted.push({ ...history.emitted[0]!, id: idOf(1, 2, 2) })
    },
  ],
  ['a pair that is there twice', ['join emitted twice'], self, (h) => h.emitted.push({ ...h.emitted[0]! })],
  [
    'a pair under another id',
    ['join pair lost', 'join emitted wrong'],
    self,
    ({ emitted }) => (emitted[0]!.id = idOf(9, 9)),
  ],
  [
    'a pair beyond the bounds',
    ['join emitted wrong', 'join event misplaced'],
    self,
    (h) => h.emitted.push(emitted(2, 3, 10)),
  ],
  ['an event that is joined with itself', ['join emitted wrong'], self, (h) => h.emitted.push(emitted(1, 1, 0))],
  [
    'a left event that is joined and alone',
    ['join emitted wrong', 'join event misplaced'],
    self,
    (h) => h.emitted.push(emitted(1, null, 0)),
  ],
  [
    'an event that is emitted alone before its time',
    ['join emitted wrong', 'join event misplaced'],
    self,
    (h) => h.emitted.push(emitted(5, null, 20)),
  ],
  [
    'a late event that is joined as well',
    ['join emitted wrong', 'join event misplaced'],
    self,
    (h) => h.emitted.push(emitted(4, 2, 1.5)),
  ],
  [
    'a right event that is emitted alone where it must not be',
    ['join emitted wrong'],
    self,
    (h) => h.emitted.push(emitted(null, 3, 10)),
  ],
  [
    'the latest but one',
    ['join emitted wrong', 'join alone lost'],
    latest,
    (h) => h.emitted.splice(2, 1, emitted(4, 6, 8.5)),
  ],
  ['another number', ['join emitted wrong'], self, ({ emitted }) => (emitted[0]!.data!.sum = 4)],
  ['another time', ['join emitted wrong'], self, ({ emitted }) => (emitted[0]!.occurred = time(0))],
  ['another key', ['join emitted wrong'], self, ({ emitted }) => (emitted[0]!.key = 'other')],
  ['another cause', ['join emitted wrong'], self, ({ emitted }) => (emitted[0]!.cause = '1')],
  [
    'sides that are interchanged',
    ['join emitted wrong', 'join event misplaced'],
    latest,
    ({ emitted }) => {
      Object.assign(emitted[1]!.data!, { left: '3', right: '2' })
    },
  ],
  ['an emitted event that is not settled', ['unsettled'], self, ({ emitted }) => (emitted[0]!.isSettled = false)],
  ['an event that does not wait', ['join state wrong', 'join event misplaced'], self, ({ waiting }) => waiting.shift()],
  [
    'an event that still waits',
    ['join state wrong', 'join event misplaced'],
    self,
    (h) => h.waiting.push(waiting('left', 3, 10, 12)),
  ],
  [
    'an event that waits and is late',
    ['join state wrong', 'join event misplaced'],
    self,
    (h) => h.waiting.push(waiting('right', 4, 1, 1.5)),
  ],
  ['an event that waits too long', ['join state wrong'], self, ({ waiting }) => (waiting[0]!.expiresAt += 1n)],
  ['an event that waits as joined', ['join state wrong'], self, ({ waiting }) => (waiting[0]!.matched = true)],
  ['a late event without a row', ['join late event lost', 'join event misplaced'], self, ({ late }) => late.pop()],
  [
    'a late event without a dead letter',
    ['join late event lost', 'join event misplaced'],
    latest,
    ({ letters }) => letters.pop(),
  ],
  ['another watermark of a late event', ['join late event wrong'], self, ({ late }) => (late[0]!.watermark = time(8))],
  [
    'a late event that was in time',
    ['join late event wrong', 'join event misplaced'],
    self,
    ({ late }) => late.push({ seq: 3, position: 30, watermark: time(0.5) }),
  ],
  [
    'a dead letter for another reason',
    ['join dead for no reason'],
    latest,
    ({ letters }) => (letters[0]!.message = 'TooManyWaiting: no'),
  ],
  ['another watermark', ['join watermark'], self, ({ times }) => (times[0]!.watermark = time(20))],
  [
    'entries that were not read',
    ['leftover', 'join watermark', 'join state wrong', 'join emitted wrong'],
    self,
    ({ cursors }) => (cursors[0]!.position = 40),
  ],
])('found: %s', (_, kinds, make, change) => {
  const history = make()
  change(history)
  const { found } = judge(history)
  expect(found.map(({ kind }) => kind).toSorted()).toEqual(kinds.toSorted())
})

test('with the first counterexample in words', () => {
  const history = self()
  history.emitted.shift()
  const at = (text: string) => `2023-11-14T22:13:${text}Z`
  expect(judge(history).found[0]!.example).toBe(
    `the pair of 1 of ${at('20.000000')} (key k) and 2 of ${at('21.500000')} (key k) of fault-joined-self was not emitted`,
  )
})
