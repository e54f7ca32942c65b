/** The check of windows against forged histories: it passes sound ones, and names every violation. */
import { expect, test } from '@jest/globals'
import { FAULT_WINDOWS } from './fault-windows.js'
import { createFindings, type ViolationKind } from './verdict.js'
import { checkWindow } from './window-check.js'
import type { EmittedRow, ResultRow, WindowEntry, WindowHistory } from './window-rows.js'

const SECOND = 1_000_000
const BEGAN = 1_700_000_000 * SECOND
const time = (seconds: number) => BigInt(BEGAN + seconds * SECOND)

/** The number of an event is its seq. */
function entry(seq: number, seconds: number, { key = 'k', accepted = 100 } = {}): WindowEntry {
  const ids = { seq, id: `${seq}`, type: 'any', position: 10 * seq, partition: 0, key }
  return { ...ids, occurred: time(seconds), accepted: time(accepted) }
}

const row = (start: number, end: number, [count, sum]: [number, number], key = 'k'): ResultRow => {
  return { partition: 0, key, start: time(start), end: time(end), count, sum }
}
const open = (start: number, end: number, content: [number, number], firstOpen = start) => {
  return { ...row(start, end, content), firstOpen: time(firstOpen) }
}
const text = (seconds: number) => new Date((BEGAN + seconds * SECOND) / 1_000).toISOString()
const mark = (position: number, kind: 'hold' | 'release' | 'tick', at?: number, seenSince?: number) => ({
  ...{ partition: 0, position, kind },
  ...{ at: at === undefined ? undefined : time(at), seenSince: seenSince === undefined ? undefined : time(seenSince) },
})

const NOTHING = {
  ...{ tenantId: 'default', groupId: 7, generation: 1, idle: 1_000_000n, isComplete: true },
  cursors: [{ partition: 0, began: 0, position: 1_000 }],
  ...{ marks: [], late: [], letters: [], state: [], emitted: [] },
}

/** Five events, the fourth late; while an event of second 5 waits, the last one passes it. */
function tumbling(): WindowHistory {
  const emitted: EmittedRow = {
    id: '9bd2d12d-0ba6-5f51-8aab-e8498fe93b8f',
    ...{ key: 'k', occurred: time(2), isSettled: true },
    data: { key: 'k', start: text(0), end: text(2), count: 2, sum: 3 },
  }
  return {
    ...structuredClone(NOTHING),
    name: 'fault-tumbling',
    entries: [entry(1, 1), entry(2, 1.5), entry(3, 4), entry(4, 1.2), entry(5, 9)],
    marks: [mark(45, 'hold', 5)],
    results: [row(0, 2, [2, 3])],
    late: [{ seq: 4, position: 40, watermark: time(3) }],
    state: [open(4, 6, [1, 3]), open(8, 10, [1, 5])],
    times: [{ partition: 0, watermark: time(5), hold: time(5) }],
    emitted: [emitted],
  }
}

/** An event of second 12 is the last for the windows of the first two; a clock is ahead. */
function hopping(): WindowHistory {
  return {
    ...structuredClone(NOTHING),
    name: 'fault-hopping',
    entries: [entry(1, 1), entry(2, 7), entry(3, 12, { accepted: 12 }), entry(4, 500, { accepted: 12 })],
    results: [row(-5, 5, [1, 1]), row(0, 10, [2, 3])],
    state: [open(5, 10, [1, 2], 0), open(10, 15, [1, 3], 5), open(500, 505, [1, 4], 495)],
    times: [{ partition: 0, watermark: time(10), hold: undefined }],
  }
}

/** Two events and the one between them; after a tick that counts, one that is late. */
function session(): WindowHistory {
  const entries = [entry(1, 0), entry(2, 1.6), entry(3, 0.8), entry(4, 1)]
  for (const each of entries) each.accepted = time(2)
  return {
    ...structuredClone(NOTHING),
    name: 'fault-session',
    entries,
    marks: [mark(32, 'tick', 2.9, 0), mark(35, 'tick', 20, 18), mark(36, 'hold', 0.5), mark(37, 'release')],
    results: [row(0, 1.6, [3, 6])],
    letters: [{ seq: 4, message: 'LateEvent: it happened too early' }],
    times: [{ partition: 0, watermark: time(19), hold: undefined }],
  }
}

function judge(history: WindowHistory) {
  const findings = createFindings()
  const spec = FAULT_WINDOWS.find(({ name }) => name === history.name)!
  checkWindow(findings, spec, history, Number)
  return findings.all()
}

test.each([tumbling, hopping, session])('a sound history passes: %p', (make) => {
  expect(judge(make())).toEqual([])
})

test('a generation that began later has the holds from before, and nothing else', () => {
  const history = tumbling()
  history.cursors[0]!.began = 45
  history.results = []
  history.late = []
  history.emitted = []
  history.state = [open(8, 10, [1, 5])]
  history.entries.splice(0, 4)
  expect(judge(history)).toEqual([])
})

test.each<[string, ViolationKind[], () => WindowHistory, (history: WindowHistory) => unknown]>([
  [
    'a result that is missing',
    ['window result lost', 'window event misplaced', 'window emitted wrong'],
    tumbling,
    ({ results }) => results.pop(),
  ],
  [
    'a window that has not closed',
    ['window result lost', 'window state wrong', 'window emitted wrong'],
    tumbling,
    ({ results, state }) => state.push({ ...results.pop()!, firstOpen: time(0) }),
  ],
  [
    'an event that was counted twice',
    ['window result wrong', 'window event misplaced', 'window emitted wrong'],
    tumbling,
    ({ results }) => Object.assign(results[0]!, { count: 3, sum: 4 }),
  ],
  [
    'an event of another key',
    [
      'window result lost',
      'window result wrong',
      'window event misplaced',
      'window event misplaced',
      'window emitted lost',
      'window emitted wrong',
    ],
    tumbling,
    ({ results }) => (results[0]!.key = 'other'),
  ],
  [
    'a result that the log does not have',
    ['window result wrong', 'window event misplaced', 'window emitted lost'],
    tumbling,
    ({ results }) => results.push(row(2, 4, [1, 1])),
  ],
  ['a wrong end', ['window result wrong'], hopping, ({ results }) => (results[0]!.end += 1n)],
  [
    'a session that has the wrong end',
    ['window result wrong'],
    session,
    ({ results }) => (results[0]!.end = time(0.8)),
  ],
  [
    'an open window that lacks an event',
    ['window state wrong', 'window event misplaced'],
    tumbling,
    ({ state }) => state.pop(),
  ],
  ['a pane with another sum', ['window state wrong'], hopping, ({ state }) => (state[1]!.sum = 4)],
  ['a pane that is left', ['window state wrong'], hopping, ({ state }) => state.push(open(0, 5, [1, 1], -5))],
  [
    'a late event without a row',
    ['window late event lost', 'window event misplaced'],
    tumbling,
    ({ late }) => late.pop(),
  ],
  [
    'a late event without a dead letter',
    ['window late event lost', 'window event misplaced'],
    session,
    ({ letters }) => letters.pop(),
  ],
  [
    'a late event that was counted as well',
    ['window result wrong', 'window event misplaced', 'window emitted wrong'],
    tumbling,
    ({ results }) => Object.assign(results[0]!, { count: 3, sum: 7 }),
  ],
  [
    'another watermark of a late event',
    ['window late event wrong'],
    tumbling,
    ({ late }) => (late[0]!.watermark = time(8)),
  ],
  [
    'a late event that was in time',
    ['window late event wrong'],
    hopping,
    ({ late }) => late.push({ seq: 2, position: 20, watermark: time(10) }),
  ],
  [
    'a dead letter for another reason',
    ['window dead for no reason'],
    session,
    ({ letters }) => (letters[0]!.message = 'Error: no'),
  ],
  ['a watermark that passes a hold', ['window watermark'], tumbling, ({ times }) => (times[0]!.watermark = time(8))],
  ['a hold that is forgotten', ['window watermark'], tumbling, ({ times }) => (times[0]!.hold = undefined)],
  ['no watermark', ['window watermark'], hopping, ({ times }) => times.pop()],
  [
    'a watermark that follows a clock that is ahead',
    ['window watermark'],
    hopping,
    ({ times }) => (times[0]!.watermark = time(498)),
  ],
  [
    'a tick that counts too soon',
    ['window result wrong', 'window state wrong', 'window watermark', 'window late event wrong'],
    session,
    ({ marks }) => marks.splice(1, 1),
  ],
  ['a result that was not emitted', ['window emitted lost'], tumbling, ({ emitted }) => emitted.pop()],
  [
    'a result that was emitted under another id',
    ['window emitted lost', 'window emitted wrong'],
    tumbling,
    ({ emitted }) => (emitted[0]!.id = '9bd2d12d-0ba6-5f51-8aab-e8498fe93b80'),
  ],
  [
    'a result that two generations have emitted',
    ['window emitted twice'],
    tumbling,
    (history) => {
      history.generation = 2
      history.emitted.push({ ...history.emitted[0]!, id: '58501f1d-2647-50f9-81a9-97fe67eb4a24' })
    },
  ],
  [
    'a result that was emitted with other content',
    ['window emitted wrong'],
    tumbling,
    ({ emitted }) => (emitted[0]!.data!.sum = 4),
  ],
  [
    'a result that was emitted with another time',
    ['window emitted wrong'],
    tumbling,
    ({ emitted }) => (emitted[0]!.occurred = time(1)),
  ],
  ['an emitted event that is not settled', ['unsettled'], tumbling, ({ emitted }) => (emitted[0]!.isSettled = false)],
  [
    'entries that were not read',
    ['leftover', 'window state wrong', 'window event misplaced', 'window watermark'],
    tumbling,
    ({ cursors }) => (cursors[0]!.position = 40),
  ],
])('found: %s', (_, kinds, make, change) => {
  const history = make()
  change(history)
  const found = judge(history)
  expect(found.map(({ kind }) => kind).toSorted()).toEqual([...new Set(kinds)].toSorted())
})

test('with the first counterexample in words', () => {
  const history = tumbling()
  history.results.pop()
  expect(judge(history)[0]!.example).toBe(
    `the window of fault-tumbling from ${text(0).slice(0, -1)}000Z with key k (partition 0) has no result; by the log it ` +
      `has 2 events and the sum 3 up to ${text(2).slice(0, -1)}000Z`,
  )
})
