/**
 * Joins of the events of one key: what an event is joined with, and what becomes of it when event time has passed.
 *
 * An event waits as a row of each of its sides. For a batch of events, a reader needs all rows of the keys of these
 * events; when the watermark rises, those of every key that has a row whose `expiresAt` it has reached. (With `match:
 * 'all'`, the rows that expire are enough for that.) `changesOf` says what to write. The outputs depend only on which
 * events come in time: not on their order, and not on when expired rows are removed.
 */
import { earlier, type Micros } from '../windows/micros.js'
import type { JoinRules } from './rules.js'

export type JoinSide = 'left' | 'right'

/** An event that arrives, with the sides that its type has: both if a type is joined with itself. */
export interface JoinArrival<Event> {
  readonly sides: readonly JoinSide[]
  readonly time: Micros
  /** Tells events apart, and orders those of one time. */
  readonly seq: number
  readonly event: Event
}

/** An event that waits on one side. */
export interface JoinRow<Event> {
  readonly side: JoinSide
  readonly time: Micros
  readonly seq: number
  /** A watermark from this time on removes the row: nothing that is not late can be joined with it any more. */
  readonly expiresAt: Micros
  /** Whether it was joined with at least one event. */
  readonly matched: boolean
  readonly event: Event
}

/** A pair of joined events, or one that nothing is joined with. */
export interface JoinOutput<Event> {
  readonly left: Event | null
  readonly right: Event | null
}

/** The rows of a key afterwards, in order, and what is to be emitted. */
export interface JoinStep<Event> {
  readonly rows: readonly JoinRow<Event>[]
  readonly outputs: readonly JoinOutput<Event>[]
}

/** The highest bigint of Postgres: a row with this `expiresAt` waits for ever. */
export const NEVER: Micros = 2n ** 63n - 1n

/**
 * Adds an event to the rows of its key, which are in the order of time and seq. Returns `late` if the watermark that the
 * event meets has passed its time, and `full` if `maxPerKey` other events wait on its side already.
 *
 * With `match: 'all'`, the outputs are its pairs, in the order of the other events. Otherwise there are none yet: a right
 * event is joined when it expires, and that is when no earlier or later match can come any more.
 */
export function joinEvent<Event>(
  rows: readonly JoinRow<Event>[],
  { sides, ...arriving }: JoinArrival<Event>,
  watermark: Micros | undefined,
  rules: JoinRules,
): JoinStep<Event> | 'late' | 'full' {
  if (watermark !== undefined && arriving.time < watermark) return 'late'
  if (sides.some((side) => isFull(rows, side, watermark, rules))) return 'full'
  let step: JoinStep<Event> = { rows, outputs: [] }
  for (const side of sides) {
    const added = addTo(step.rows, { ...arriving, side, matched: false, expiresAt: NEVER }, rules)
    step = { rows: added.rows, outputs: [...step.outputs, ...added.outputs] }
  }
  return step
}

/**
 * Removes the rows of a key that the watermark makes expire. The outputs are the pairs of right events that waited for
 * their only match, and the events that are emitted alone, in the order of their expiry.
 */
export function expireRows<Event>(
  rows: readonly JoinRow<Event>[],
  watermark: Micros | undefined,
  rules: JoinRules,
): JoinStep<Event> {
  const expired = rows.filter((row) => hasExpired(row, watermark)).sort(inOrderOfExpiry)
  if (expired.length === 0) return { rows, outputs: [] }
  const outputs: JoinOutput<Event>[] = []
  const chosen = new Set<JoinRow<Event>>()
  for (const row of expired) {
    const left = row.side === 'right' && rules.match !== 'all' ? onlyMatch(rows, row, rules) : undefined
    if (left !== undefined) {
      chosen.add(left)
      outputs.push({ left: left.event, right: row.event })
    } else if (!row.matched && !chosen.has(row) && isEmittedAlone(row, rules)) {
      outputs.push(row.side === 'left' ? { left: row.event, right: null } : { left: null, right: row.event })
    }
  }
  const removed = new Set(expired)
  const rest = rows.filter((row) => !removed.has(row))
  return { rows: changed(rest, new Set([...chosen].filter((row) => !row.matched)), { matched: true }), outputs }
}

/** The rows to write after some steps over the rows of a key. `updated` rows have a new `matched` or `expiresAt`. */
export function changesOf<Event>(before: readonly JoinRow<Event>[], after: readonly JoinRow<Event>[]) {
  const gone = new Map(before.map((row) => [idOf(row), row]))
  const inserted: JoinRow<Event>[] = []
  const updated: JoinRow<Event>[] = []
  for (const row of after) {
    const old = gone.get(idOf(row))
    if (old === undefined) inserted.push(row)
    else if (old !== row) updated.push(row)
    gone.delete(idOf(row))
  }
  return { inserted, updated, deleted: [...gone.values()] }
}

const idOf = ({ side, seq }: JoinRow<unknown>) => `${side} ${seq}`

const hasExpired = ({ expiresAt }: JoinRow<unknown>, watermark: Micros | undefined) =>
  watermark !== undefined && expiresAt <= watermark

/** Rows that have expired do not count, whether or not they were removed. */
function isFull(
  rows: readonly JoinRow<unknown>[],
  side: JoinSide,
  watermark: Micros | undefined,
  { maxPerKey }: JoinRules,
): boolean {
  if (rows.length < maxPerKey) return false
  return rows.filter((row) => row.side === side && !hasExpired(row, watermark)).length >= maxPerKey
}

function addTo<Event>(rows: readonly JoinRow<Event>[], row: JoinRow<Event>, rules: JoinRules): JoinStep<Event> {
  switch (rules.match) {
    case 'all':
      return addToAll(rows, row, rules)
    case 'first':
      return { rows: addToFirst(rows, row, rules), outputs: [] }
    case 'latest':
      return { rows: addToLatest(rows, row, rules), outputs: [] }
  }
}

function addToAll<Event>(rows: readonly JoinRow<Event>[], row: JoinRow<Event>, rules: JoinRules): JoinStep<Event> {
  const others = joinableWith(rows, row, rules)
  const matched = changed(rows, new Set(others.filter((other) => !other.matched)), { matched: true })
  const isLeft = row.side === 'left'
  return {
    rows: placed(matched, { ...row, matched: others.length > 0, expiresAt: pastBounds(row, rules) }),
    outputs: others.map(({ event }) =>
      isLeft ? { left: row.event, right: event } : { left: event, right: row.event },
    ),
  }
}

/** A right event expires when the left one is certain: once the watermark has passed the earliest that came so far. */
function addToFirst<Event>(
  rows: readonly JoinRow<Event>[],
  row: JoinRow<Event>,
  rules: JoinRules,
): readonly JoinRow<Event>[] {
  const others = joinableWith(rows, row, rules)
  if (row.side === 'right') {
    const [first] = others
    return placed(rows, { ...row, expiresAt: first ? first.time + 1n : pastBounds(row, rules) })
  }
  const expiresAt = row.time + 1n
  const hastened = changed(rows, new Set(others.filter((other) => other.expiresAt > expiresAt)), { expiresAt })
  return placed(hastened, { ...row, expiresAt: pastBounds(row, rules) })
}

/**
 * A right event expires when every left one that is not after it has come. A left event waits until the next one has
 * replaced it: there is none for a right event after that.
 */
function addToLatest<Event>(
  rows: readonly JoinRow<Event>[],
  row: JoinRow<Event>,
  rules: JoinRules,
): readonly JoinRow<Event>[] {
  if (row.side === 'right') return placed(rows, { ...row, expiresAt: pastBounds(row, rules) })
  const place = placeOf(rows, row)
  const previous = rows.slice(0, place).findLast(({ side }) => side === 'left')
  const next = rows.slice(place).find(({ side }) => side === 'left')
  const expiresAt = row.time + 1n
  const isReplaced = previous !== undefined && previous.expiresAt > expiresAt
  const end = pastBounds(row, rules)
  return placed(changed(rows, new Set(isReplaced ? [previous] : []), { expiresAt }), {
    ...row,
    expiresAt: next ? earlier(end, next.time + 1n) : end,
  })
}

/** The first microsecond at which no event of the other side is within the bounds of this one. */
function pastBounds({ side, time }: JoinRow<unknown>, { before, after }: JoinRules): Micros {
  if (side === 'right') return time + before + 1n
  return after === undefined ? NEVER : time + after + 1n
}

/** The rows of the other side within the bounds of this one, in order, without the event itself. */
function joinableWith<Event>(
  rows: readonly JoinRow<Event>[],
  { side, time, seq }: JoinRow<Event>,
  { before, after }: JoinRules,
): JoinRow<Event>[] {
  const isLeft = side === 'left'
  const from = isLeft ? time - before : after === undefined ? undefined : time - after
  const to = isLeft ? (after === undefined ? undefined : time + after) : time + before
  const start = from === undefined ? 0 : countWhile(rows, (other) => other.time < from)
  const end = to === undefined ? rows.length : countWhile(rows, (other) => other.time <= to)
  return rows.slice(start, end).filter((other) => other.side !== side && other.seq !== seq)
}

function onlyMatch<Event>(rows: readonly JoinRow<Event>[], right: JoinRow<Event>, rules: JoinRules) {
  return joinableWith(rows, right, rules).at(rules.match === 'first' ? 0 : -1)
}

const isEmittedAlone = ({ side }: JoinRow<unknown>, { kind }: JoinRules) =>
  kind === 'outer' || (kind === 'left' && side === 'left')

function inOrder(a: JoinRow<unknown>, b: JoinRow<unknown>): number {
  return a.time === b.time ? a.seq - b.seq : a.time < b.time ? -1 : 1
}

/** A right row before a left one: it may be joined with a left event that expires at the same time. */
function inOrderOfExpiry(a: JoinRow<unknown>, b: JoinRow<unknown>): number {
  if (a.expiresAt !== b.expiresAt) return a.expiresAt < b.expiresAt ? -1 : 1
  if (a.side !== b.side) return a.side === 'right' ? -1 : 1
  return inOrder(a, b)
}

/** The rows with one more, in its place. */
function placed<Event>(rows: readonly JoinRow<Event>[], row: JoinRow<Event>): readonly JoinRow<Event>[] {
  return rows.toSpliced(placeOf(rows, row), 0, row)
}

const placeOf = (rows: readonly JoinRow<unknown>[], row: JoinRow<unknown>) =>
  countWhile(rows, (other) => inOrder(other, row) <= 0)

/** How many rows at the beginning fulfil a condition that none behind them fulfils. */
function countWhile<Row>(rows: readonly Row[], fulfils: (row: Row) => boolean): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (fulfils(rows[middle]!)) low = middle + 1
    else high = middle
  }
  return low
}

/** The rows with a change of some of them; the others stay the same objects. */
function changed<Event>(
  rows: readonly JoinRow<Event>[],
  some: ReadonlySet<JoinRow<Event>>,
  change: Partial<Pick<JoinRow<Event>, 'matched' | 'expiresAt'>>,
): readonly JoinRow<Event>[] {
  return some.size === 0 ? rows : rows.map((row) => (some.has(row) ? { ...row, ...change } : row))
}
