/**
 * Checks what a join of the fault tests has made of the log: every emitted event, late event and event that waits, and
 * event time, against what `join-model.ts` computes.
 */
import { later } from '@eventflow/core'
import type { JoinSpec } from './fault-joins.js'
import { type ExpectedOfJoin, expectedOfJoin, type Joined } from './join-model.js'
import { checkLate, checkRead, checkTimes, timeOf, uuid } from './reader-check.js'
import type { Findings } from './verdict.js'
import type { JoinedRow, JoinHistory, WaitingRow, WindowEntry } from './window-rows.js'

/** `numberOf`: the number that the client has sent in an event. Returns how many pairs and events alone there must be. */
export function checkJoin(
  findings: Findings,
  spec: JoinSpec,
  history: JoinHistory,
  numberOf: (id: string) => number,
): { pairs: number; alone: number } {
  const expected = expectedOfJoin(spec, history)
  checkRead(findings, history)
  checkTimes(findings, 'join', history, expected.times)
  checkLate(findings, 'join', { ...history, as: spec.late }, expected.late)
  checkWaiting(findings, history, expected)
  checkEmitted(findings, history, expected, numberOf)
  checkPlaces(findings, spec, history)
  const pairs = expected.joined.filter(({ left, right }) => left && right).length
  return { pairs, alone: expected.joined.length - pairs }
}

const idOfRow = ({ partition, key, side, at, seq }: WaitingRow) => `${partition} ${side} ${at} ${seq} ${key}`

const stateOf = ({ expiresAt, matched }: WaitingRow) => `${matched ? 'joined' : 'alone'} until below ${expiresAt}`

function checkWaiting(findings: Findings, { name, waiting }: JoinHistory, expected: ExpectedOfJoin): void {
  const found = new Map(waiting.map((row) => [idOfRow(row), row]))
  const wrong = (row: WaitingRow, words: string) =>
    findings.add('join state wrong', () => {
      return `the ${row.side} event of seq ${row.seq} and ${timeOf(row.at)} (key ${row.key}) ${words} in ${name}`
    })
  for (const should of expected.waiting) {
    const is = found.get(idOfRow(should))
    found.delete(idOfRow(should))
    if (!is) wrong(should, 'does not wait')
    else if (stateOf(is) !== stateOf(should)) wrong(is, `waits ${stateOf(is)}; by the log ${stateOf(should)}`)
  }
  for (const is of found.values()) wrong(is, 'waits; by the log it does not')
}

/** Each pair, and each event alone, was emitted once, under the id that follows from it. */
function checkEmitted(
  findings: Findings,
  history: JoinHistory,
  { joined }: ExpectedOfJoin,
  numberOf: (id: string) => number,
): void {
  const { name, emitted, tenantId, groupId, generation, isComplete } = history
  // A generation does not know what a former one has emitted for events that retention has removed.
  const knowsAll = generation === 1 || isComplete
  const found = new Map<string, JoinedRow[]>()
  for (const row of emitted) found.set(row.id, [...(found.get(row.id) ?? []), row])
  for (const [output, same] of grouped(joined, outputOf)) {
    const [{ left, right }] = same as [Joined]
    const rows: JoinedRow[] = []
    for (let made = 1; made <= generation; made++) {
      const id = uuid(tenantId, `group:${groupId}:${made}`, output)
      rows.push(...(found.get(id) ?? []))
      found.delete(id)
    }
    const title = `${titleOf(same[0]!)} of ${name}`
    // An id that was forgotten, and is sent again, is another event with the same outputs.
    if (rows.length > same.length) {
      findings.add('join emitted twice', () => `${title} was emitted as ${rows.map(({ id }) => id).join(', ')}`)
    }
    if (rows.length === 0 && knowsAll) {
      findings.add(left && right ? 'join pair lost' : 'join alone lost', () => `${title} was not emitted`)
    }
    for (const row of rows) {
      const wrong = same.map((should) => differenceOf(should, row, numberOf))
      if (!wrong.includes(undefined)) findings.add('join emitted wrong', () => `${title} ${wrong[0]}`)
    }
  }
  for (const { id, isSettled } of emitted) {
    if (!isSettled) findings.add('unsettled', () => `${id}, emitted by ${name}, has reached no end`)
  }
  if (!knowsAll) return
  for (const [id, [row]] of found) {
    const { key, data } = row!
    const words = `has emitted ${id} with key ${key}: ${JSON.stringify(data)}; by the log it has nothing to emit there`
    findings.add('join emitted wrong', () => `${name} ${words}`)
  }
}

/** In words; undefined if there is none. */
function differenceOf(
  { left, right }: Joined,
  { key, occurred, cause, data }: JoinedRow,
  numberOf: (id: string) => number,
): string | undefined {
  const events = [left, right].filter((event) => event !== undefined)
  const [last] = events.toSorted((a, b) => b.seq - a.seq)
  const sum = events.reduce((sum, { id }) => sum + numberOf(id), 0)
  const time = events.reduce((time, event) => later(time, event.occurred), events[0]!.occurred)
  const isRight =
    key === last!.key &&
    cause === last!.id &&
    occurred === time &&
    (!data || (data.left === (left?.id ?? null) && data.right === (right?.id ?? null) && data.sum === sum))
  if (isRight) return undefined
  const is = `${JSON.stringify(data)} with key ${key} and time ${timeOf(occurred)} because of ${cause}`
  return `was emitted as ${is}; by the log with key ${last!.key}, time ${timeOf(time)} and sum ${sum} because of ${last!.id}`
}

const outputOf = ({ left, right }: Joined) => `join:${left?.id ?? ''}:${right?.id ?? ''}`

/**
 * Each event that was read is in one place: it is late, or waits or has gone. One that was emitted alone has gone, and is
 * in no pair; one that has gone was emitted, unless such events are not emitted alone. This looks at no expectation.
 */
function checkPlaces(findings: Findings, spec: JoinSpec, history: JoinHistory): void {
  const { name, entries, cursors, waiting, late, letters, emitted, generation } = history
  // What retention has removed has no data; dead letters of a former generation stay.
  if (emitted.some(({ data }) => !data) || (generation > 1 && spec.late !== 'row')) return
  const lateSeqs = new Set((spec.late === 'row' ? late : letters).map(({ seq }) => seq))
  const ends = new Map(cursors.map(({ partition, position }) => [partition, position]))
  const timesOfId = grouped(entries, ({ id }) => id)
  for (const side of ['left', 'right'] as const) {
    const other = side === 'left' ? 'right' : 'left'
    const waits = new Set(waiting.filter((row) => row.side === side).map(({ seq }) => seq))
    const ids = (rows: readonly JoinedRow[]) => new Set(rows.map(({ data }) => data![side]))
    const paired = ids(emitted.filter(({ data }) => data![other] !== null))
    const alone = ids(emitted.filter(({ data }) => data![other] === null))
    for (const { type, id, seq, key, partition, position } of entries) {
      if (type !== spec[side] || position > (ends.get(partition) ?? 0)) continue
      if (timesOfId.get(id)!.length > 1) continue // it was forgotten, and accepted again
      // An event that waits may be in pairs already.
      const places = [
        ...(lateSeqs.has(seq) ? ['late'] : []),
        ...(waits.has(seq) ? ['waiting'] : []),
        ...(alone.has(id) ? ['alone'] : []),
        ...(paired.has(id) && !waits.has(seq) ? ['joined'] : []),
      ]
      const isNowhere = places.length === 0 && spec.alone.includes(side)
      if (!isNowhere && places.length <= 1) continue
      const words = isNowhere ? 'nowhere' : places.join(' and ')
      findings.add('join event misplaced', () => `${id} (key ${key}), on the ${side} side of ${name}, is ${words}`)
    }
  }
}

const titleOf = ({ left, right }: Joined) =>
  left && right
    ? `the pair of ${placeOf(left)} and ${placeOf(right)}`
    : `the ${left ? 'left' : 'right'} event ${placeOf((left ?? right)!)} without another`

const placeOf = ({ id, occurred, key }: WindowEntry) => `${id} of ${timeOf(occurred)} (key ${key})`

function grouped<Item>(items: readonly Item[], idOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const others = groups.get(idOf(item))
    if (others) others.push(item)
    else groups.set(idOf(item), [item])
  }
  return groups
}
