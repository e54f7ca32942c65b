/** Joins: which events are joined, which ones are emitted alone, and that neither depends on order or batches. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Micros } from '../windows/micros.js'
import { advance, type LogEntryTime, NO_WATERMARK, type Watermark } from '../windows/watermark.js'
import {
  changesOf,
  expireRows,
  type JoinOutput,
  type JoinRow,
  type JoinSide,
  type JoinStep,
  joinEvent,
  NEVER,
} from './join.js'
import { type JoinRules, readJoinRules, type WrittenJoinRules } from './rules.js'

const sec = (seconds: number) => BigInt(Math.round(seconds * 1_000_000))

/** An event of the type L, R or E: an event of E is on both sides. */
interface Sent {
  kind: 'event'
  type: string
  key: string
  tenant: string
  seq: number
  occurred: Micros
  accepted: Micros
}
type Entry = Sent | (Exclude<LogEntryTime, { kind: 'event' }> & { tenant?: string })

const SIDES: Record<string, JoinSide[]> = { L: ['left'], R: ['right'], E: ['left', 'right'] }
const nameOf = ({ type, occurred }: Sent) => `${type}${Number(occurred) / 1e6}`

/** Events from their names, such as L0 or R10.001, accepted when they occurred. `L0:b` has the key b, else it is `a`. */
function events(...names: string[]): Sent[] {
  return names.map((name, i) => {
    const [, type, second, key = 'a'] = /^(\w)([\d.]+)(?::(\w+))?$/.exec(name)!
    const occurred = sec(Number(second))
    return { kind: 'event', type: type!, key, tenant: 't', seq: i + 1, occurred, accepted: occurred }
  })
}

/**
 * Reads entries in batches of these sizes, each from the stored rows, and expires rows after each batch. Outputs are
 * named with `name`.
 */
function read(
  rules: JoinRules,
  outOfOrderness: number,
  entries: readonly Entry[],
  { sizes = [], name = nameOf }: { sizes?: readonly number[]; name?: (event: Sent) => string } = {},
) {
  const stored = new Map<string, readonly JoinRow<Sent>[]>()
  const watermarks = new Map<string, Watermark>()
  const outputs: string[] = []
  const [late, full]: [string[], string[]] = [[], []]
  const emit = (made: readonly JoinOutput<Sent>[]) =>
    outputs.push(...made.map(({ left, right }) => `${left ? name(left) : null}-${right ? name(right) : null}`))
  let next = 0
  for (const size of [...sizes, entries.length]) {
    const batch = new Map(stored)
    for (const entry of entries.slice(next, next + size)) {
      const { tenant = 't' } = entry
      const watermark = watermarks.get(tenant) ?? NO_WATERMARK
      if (entry.kind === 'event') {
        const place = `${tenant} ${entry.key}`
        const arriving = { sides: SIDES[entry.type] ?? [], time: entry.occurred, seq: entry.seq, event: entry }
        const step = joinEvent(batch.get(place) ?? [], arriving, watermark.at, rules)
        if (step === 'late') late.push(name(entry))
        else if (step === 'full') full.push(name(entry))
        else {
          emit(step.outputs)
          batch.set(place, step.rows)
        }
      }
      watermarks.set(tenant, advance(watermark, entry, sec(outOfOrderness)))
    }
    for (const [place, rows] of batch) {
      const step = expireRows(rows, watermarks.get(place.split(' ')[0]!)?.at, rules)
      emit(step.outputs)
      stored.set(place, written(stored.get(place) ?? [], step.rows))
    }
    next += size
  }
  const waiting = [...stored.values()].flat()
  return { outputs: outputs.sort(), late, full, waiting: [...new Set(waiting.map(({ event }) => name(event)))].sort() }
}

/** What a table holds after the changes. */
function written(before: readonly JoinRow<Sent>[], after: readonly JoinRow<Sent>[]): readonly JoinRow<Sent>[] {
  const { inserted, updated, deleted } = changesOf(before, after)
  const id = ({ side, seq }: JoinRow<Sent>) => `${side} ${seq}`
  const table = new Map(before.map((row) => [id(row), row]))
  const isSame = (row: JoinRow<Sent>) => {
    const old = table.get(id(row))
    return old === undefined || (old.matched === row.matched && old.expiresAt === row.expiresAt)
  }
  const wrong = [...inserted.filter((row) => table.has(id(row))), ...updated.filter(isSame)]
  wrong.push(...deleted.filter((row) => !table.delete(id(row))))
  for (const row of [...inserted, ...updated]) table.set(id(row), row)
  wrong.push(...after.filter((row) => table.get(id(row)) !== row))
  if (wrong.length > 0 || table.size !== after.length) throw new Error('the changes do not make the rows')
  return [...table.values()].sort((a, b) => Number(a.time - b.time) || a.seq - b.seq)
}

const rulesOf = (rules: WrittenJoinRules, before = '10s', after = before) =>
  readJoinRules({ within: { before, after }, ...rules })
const inner10 = rulesOf({})
const left10 = rulesOf({ kind: 'left' }, '0s', '10s')
const latest = readJoinRules({ match: 'latest' })

test('case 24: the bounds are inclusive', () => {
  expect(read(inner10, 0, events('L0', 'R10', 'R10.001')).outputs).toEqual(['L0-R10'])
  expect(read(inner10, 0, events('L0', 'R10', 'R10.000001')).outputs).toEqual(['L0-R10'])
  expect(read(inner10, 20, events('R0', 'L10', 'L10.000001')).outputs).toEqual(['L10-R0'])
})

test('case 25: an event that comes in time for its pair is not emitted alone', () => {
  for (const sizes of [[], [1, 1, 1]]) {
    expect(read(left10, 5, [...events('L0', 'R12:b', 'R8'), { kind: 'tick', at: sec(99) }], { sizes })).toEqual({
      ...{ outputs: ['L0-R8'], late: [], full: [], waiting: [] },
    })
  }
})

test('case 26: an event is emitted alone once; what comes afterwards is late, and makes no pair', () => {
  for (const sizes of [[], [1, 1, 1], [2, 1]]) {
    const entries = [...events('L0', 'R16:b', 'R9'), { kind: 'tick', at: sec(99) } as const]
    expect(read(left10, 5, entries, { sizes })).toMatchObject({ outputs: ['L0-null'], late: ['R9'] })
  }
  // The watermark must pass the bound.
  expect(read(left10, 5, events('L0', 'R15:b')).outputs).toEqual([])
  expect(read(left10, 5, events('L0', 'R15.000001:b')).outputs).toEqual(['L0-null'])
})

test('case 27: it makes no difference which side is read first', () => {
  expect(read(inner10, 5, events('R3', 'L1')).outputs).toEqual(['L1-R3'])
  expect(read(inner10, 5, events('L1', 'R3')).outputs).toEqual(['L1-R3'])
})

test('case 28: a self-join pairs each event with each other one, and none with itself', () => {
  expect(read(inner10, 0, events('E0', 'E5'))).toMatchObject({ outputs: ['E0-E5', 'E5-E0'], waiting: ['E0', 'E5'] })
  const entries = [...events('E0', 'E5', 'E50'), { kind: 'tick', at: sec(99) } as const]
  expect(read(rulesOf({ kind: 'outer' }), 0, entries)).toMatchObject({
    outputs: ['E0-E5', 'E5-E0', 'E50-null', 'null-E50'],
    waiting: [],
  })
})

test('case 29: tenants never meet, and have watermarks of their own', () => {
  const [a, b, later] = events('L0', 'R1', 'L30')
  const entries = [
    { ...a!, tenant: 'x' },
    { ...b!, tenant: 'y' },
    { ...later!, tenant: 'x' },
  ]
  expect(read(rulesOf({ kind: 'outer' }), 0, entries)).toMatchObject({ outputs: ['L0-null'], waiting: ['L30', 'R1'] })
})

test('case 30: an event over `maxPerKey` is refused, and other keys go on', () => {
  const lefts = events(...Array.from({ length: 1_001 }, () => 'L0'), 'R1:b', 'L1:b')
  const { full, waiting, outputs } = read(inner10, 0, lefts, { name: ({ type, seq }) => `${type}${seq}` })
  expect(full).toEqual(['L1001'])
  expect(waiting).toHaveLength(1_002)
  expect(outputs).toEqual(['L1003-R1002'])
})

test('`maxPerKey` counts the events that wait: not those that have expired, and a self-join’s once', () => {
  const two = { ...inner10, maxPerKey: 2 }
  expect(read(two, 0, events('L0', 'L10.000001', 'L11', 'L11.5'))).toMatchObject({ full: ['L11.5'] })
  expect(read(two, 0, events('E0', 'E1', 'E2'))).toMatchObject({ full: ['E2'], outputs: ['E0-E1', 'E1-E0'] })
})

test('an event exactly at the watermark is not late', () => {
  expect(read(inner10, 5, events('R15', 'L10', 'L9.999999'))).toMatchObject({
    outputs: ['L10-R15'],
    late: ['L9.999999'],
  })
})

test('the first match is the one with the earliest time, once no earlier one can come', () => {
  const first = rulesOf({ match: 'first', kind: 'outer' })
  expect(read(first, 5, events('L4', 'R5', 'L2', 'R7:b')).outputs).toEqual([])
  expect(read(first, 5, events('L4', 'R5', 'L2', 'R7:b', 'R7.1:b')).outputs).toEqual(['L2-R5'])
  // Nothing to wait for: a late event would have come before.
  expect(read(first, 0, events('L1', 'L2', 'R5')).outputs).toEqual(['L1-R5'])
  // Of one time, the lower seq is the earlier one.
  const tied = events('L10', 'R12', 'R15:b', 'L10', 'R16:b').map((event) => ({ ...event, seq: 9 - event.seq }))
  expect(read(first, 5, tied, { sizes: [3], name: unique }).outputs).toEqual(['5-7'])
  expect(read(first, 0, [...events('R5', 'L16'), { kind: 'tick', at: sec(99) }]).outputs).toEqual([
    'L16-null',
    'null-R5',
  ])
})

test('the latest match is the one that is valid at the time of the right event', () => {
  const enriched = [...events('L0', 'R3', 'L5', 'R4', 'R5', 'R500'), { kind: 'tick', at: sec(999) } as const]
  expect(read(latest, 10, enriched)).toMatchObject({ outputs: ['L0-R3', 'L0-R4', 'L5-R5', 'L5-R500'], waiting: ['L5'] })
  expect(read(latest, 10, [...events('R3', 'L0'), { kind: 'tick', at: sec(999) }]).outputs).toEqual(['L0-R3'])
  // With an end, and with nothing that could be valid.
  const within = { match: 'latest', within: { after: '10s' }, kind: 'outer' } as const
  expect(read(readJoinRules(within), 10, [...enriched]).outputs).toEqual([...['L0-R3', 'L0-R4', 'L5-R5', 'null-R500']])
  expect(read(readJoinRules(within), 60, [...events('L50', 'L0'), { kind: 'tick', at: sec(71) }])).toMatchObject({
    ...{ outputs: ['L0-null'], waiting: ['L50'] },
  })
  expect(read(readJoinRules({ match: 'latest', kind: 'left' }), 0, events('L0', 'L5', 'R6')).outputs).toEqual([
    'L0-null',
  ])
})

test('the latest match keeps one row of a key for ever, and no others', () => {
  const entries = events(...Array.from({ length: 50 }, (_, i) => `L${i}`))
  expect(read({ ...latest, maxPerKey: 5 }, 1, entries)).toMatchObject({ full: [], waiting: ['L47', 'L48', 'L49'] })
  const step = joinEvent([], { sides: ['left'], time: 0n, seq: 1, event: null }, undefined, latest)
  expect(step).toMatchObject({ rows: [{ expiresAt: NEVER }] })
  expect(expireRows((step as JoinStep<null>).rows, NEVER - 1n, latest).rows).toHaveLength(1)
})

test('a self-join with the latest match joins an event with the one before', () => {
  const entries = [...events('E0', 'E5', 'E3'), { kind: 'tick', at: sec(99) } as const]
  expect(read(latest, 10, entries).outputs).toEqual(['E0-E3', 'E3-E5'])
})

test('a refused or late event leaves the rows as they were; rows that do not change are the same objects', () => {
  const add = (rows: readonly JoinRow<string>[], side: JoinSide, time: number, seq: number) => {
    const step = joinEvent(rows, { sides: [side], time: sec(time), seq, event: `${side} ${time}` }, undefined, inner10)
    if (typeof step === 'string') throw new Error(step)
    return step.rows
  }
  const one = add([], 'left', 0, 1)
  const two = add(one, 'left', 50, 2)
  expect(two[0]).toBe(one[0])
  const three = add(two, 'right', 51, 3)
  expect(changesOf(two, three)).toEqual({
    inserted: [{ side: 'right', time: sec(51), seq: 3, expiresAt: sec(61) + 1n, matched: true, event: 'right 51' }],
    updated: [{ ...two[1]!, matched: true }],
    deleted: [],
  })
  const { rows } = expireRows(three, sec(60), inner10)
  expect(changesOf(three, rows)).toEqual({ inserted: [], updated: [], deleted: [three[0]] })
})

/** What the definition of a join says about all events, once event time has passed them. */
function expected(rules: JoinRules, sent: readonly Sent[]): string[] {
  const { before, after, match, kind } = rules
  const ofSide = (side: JoinSide) => sent.filter(({ type }) => SIDES[type]!.includes(side))
  const ordered = (a: Sent, b: Sent) => Number(a.occurred - b.occurred) || a.seq - b.seq
  const isPair = (left: Sent, right: Sent) => {
    const behind = right.occurred - left.occurred
    return (
      left.key === right.key && left.seq !== right.seq && -before <= behind && (after === undefined || behind <= after)
    )
  }
  const pairs = ofSide('right').flatMap((right) => {
    const lefts = ofSide('left')
      .filter((left) => isPair(left, right))
      .sort(ordered)
    const chosen = match === 'all' ? lefts : match === 'first' ? lefts.slice(0, 1) : lefts.slice(-1)
    return chosen.map((left) => ({ left, right }))
  })
  const lefts = new Set(pairs.map(({ left }) => left))
  const rights = new Set(pairs.map(({ right }) => right))
  const isOver = (left: Sent) =>
    after !== undefined || ofSide('left').some((other) => other.key === left.key && ordered(left, other) < 0)
  const alone = [
    ...(kind === 'inner' ? [] : ofSide('left').filter((left) => !lefts.has(left) && isOver(left))).map(unique),
  ].map((left) => `${left}-null`)
  const others = kind === 'outer' ? ofSide('right').filter((right) => !rights.has(right)) : []
  return [
    ...pairs.map(({ left, right }) => `${unique(left)}-${unique(right)}`),
    ...alone,
    ...others.map((right) => `null-${unique(right)}`),
  ].sort()
}

const unique = ({ seq }: Sent) => `${seq}`

const second = fc.nat({ max: 60 }).map(sec)
const anyRules = fc
  .record({
    kind: fc.constantFrom<JoinRules['kind']>('inner', 'left', 'outer'),
    match: fc.constantFrom<JoinRules['match']>('all', 'first', 'latest'),
    before: fc.nat(20).map(sec),
    after: fc.option(fc.nat(20).map(sec), { nil: undefined }),
  })
  .map(({ kind, match, before, after }): JoinRules => {
    const isLatest = match === 'latest'
    return { kind, match, before: isLatest ? 0n : before, after: isLatest ? after : (after ?? 0n), maxPerKey: 1_000 }
  })
const anyEvent = (types: string) =>
  fc.record({
    kind: fc.constant<'event'>('event'),
    type: fc.constantFrom(...types),
    key: fc.constantFrom('a', 'b'),
    tenant: fc.constant('t'),
    occurred: second,
    accepted: second,
  })
/** Events of two types, or of one that is on both sides. Their seq is not the order of the log. */
const anySent = fc
  .constantFrom('LR', 'E')
  .chain((types) => fc.array(anyEvent(types), { maxLength: 40, size: 'max' }))
  .chain((sent) => {
    const seqs = fc.shuffledSubarray(
      sent.map((_, i) => i + 1),
      { minLength: sent.length },
    )
    return seqs.map((seqs) => sent.map((event, i): Sent => ({ ...event, seq: seqs[i]! })))
  })
const anyMark = fc.oneof(
  fc.record({ kind: fc.constantFrom<'tick' | 'hold'>('tick', 'hold'), at: second }),
  fc.constant<Entry>({ kind: 'release' }),
)
/** A log: events with marks between them, and a tick after all of them. */
const anyLog = fc
  .tuple(anySent, fc.array(fc.tuple(fc.nat(40), anyMark), { maxLength: 6, size: 'max' }))
  .map(([sent, marks]): Entry[] => {
    const log: Entry[] = [...sent]
    for (const [place, mark] of marks) log.splice(place, 0, mark)
    return [...log, { kind: 'release' }, { kind: 'tick', at: sec(1_000) }]
  })
const anySizes = fc.array(fc.integer({ min: 1, max: 10 }), { maxLength: 20, size: 'max' })

test('the outputs are what the definition says of the events that are not late, in any batches', () => {
  fc.assert(
    fc.property(anyRules, fc.nat(30), anyLog, anySizes, (rules, outOfOrderness, log, sizes) => {
      const whole = read(rules, outOfOrderness, log, { name: unique })
      const inTime = log.filter((entry) => entry.kind === 'event').filter((sent) => !whole.late.includes(unique(sent)))
      expect(whole.outputs).toEqual(expected(rules, inTime))
      for (const batches of [sizes, log.map(() => 1)]) {
        expect(read(rules, outOfOrderness, log, { sizes: batches, name: unique })).toEqual(whole)
      }
    }),
    { numRuns: 400 },
  )
})

test('the order in which events come makes no difference, if none is late', () => {
  const orders = anySent.chain((sent) =>
    fc.tuple(fc.constant(sent), fc.shuffledSubarray(sent, { minLength: sent.length })),
  )
  fc.assert(
    fc.property(anyRules, orders, anySizes, (rules, [sent, shuffled], sizes) => {
      const tick: Entry = { kind: 'tick', at: sec(1_000) }
      const outputs = expected(rules, sent)
      expect(read(rules, 60, [...sent, tick], { sizes, name: unique })).toMatchObject({ outputs, late: [] })
      expect(read(rules, 60, [...shuffled, tick], { sizes, name: unique })).toMatchObject({ outputs, late: [] })
    }),
    { numRuns: 300 },
  )
})

test('which events are refused does not depend on batches', () => {
  fc.assert(
    fc.property(
      anyRules,
      fc.nat(30),
      anyLog,
      anySizes,
      fc.integer({ min: 1, max: 6 }),
      (given, d, log, sizes, most) => {
        const rules = { ...given, maxPerKey: most }
        const whole = read(rules, d, log, { name: unique })
        const refused = [...whole.late, ...whole.full]
        const inTime = log.filter((entry) => entry.kind === 'event').filter((sent) => !refused.includes(unique(sent)))
        expect(whole.outputs).toEqual(expected(rules, inTime))
        expect(read(rules, d, log, { sizes, name: unique })).toEqual(whole)
      },
    ),
    { numRuns: 300 },
  )
})
