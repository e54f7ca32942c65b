/** Joins: what is joined, what is emitted alone, and what is late. Each case has event types and a join of its own. */
import { partitionOf } from '@eventflow/core'
import { defineEvent, defineJoin, type JoinDefinition, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { at, lateEvents, refusedOf, untilRead } from './windows.fixture.js'

type Sent = [side: 'L' | 'R', seconds: number, key?: 'other']

interface Case {
  join?: Partial<JoinDefinition>
  events: Sent[]
  /** The seconds of the two events of each pair, in order. */
  pairs: [left: number | null, right: number | null][]
  late?: [at: number, watermark: number][]
  refused?: string[]
}

const within = { before: '10s', after: '10s' }
const D5 = { time: { outOfOrderness: '5s' } }
const LEFT = { kind: 'left', within: { before: '0s', after: '10s' }, ...D5 } as const

const CASES: Record<string, Case> = {
  'bounds are inclusive': {
    events: [
      ['L', 0],
      ['R', 10],
      ['R', 10.001],
    ],
    pairs: [[0, 10]],
  },
  'a left event that is joined is never emitted alone': {
    join: LEFT,
    events: [
      ['L', 0],
      ['L', 12, 'other'],
      ['R', 8],
      ['L', 60],
    ],
    pairs: [
      [0, 8],
      [12, null],
    ],
  },
  'a left event that nothing is joined with is emitted alone, once': {
    join: LEFT,
    events: [
      ['L', 0],
      ['L', 16],
      ['R', 9],
    ],
    pairs: [[0, null]],
    late: [[9, 11]],
  },
  'the side that comes first makes no difference': {
    join: D5,
    events: [
      ['R', 3],
      ['L', 1],
      ['R', 4],
    ],
    pairs: [
      [1, 3],
      [1, 4],
    ],
  },
  'an event of each side that nothing is joined with': {
    join: { kind: 'outer' },
    events: [
      ['R', 0],
      ['L', 30],
      ['R', 60],
      ['L', 90],
    ],
    pairs: [
      [null, 0],
      [30, null],
      [null, 60],
    ],
  },
  'too many events of a key': {
    join: { maxPerKey: 2 },
    events: [
      ['L', 0],
      ['L', 1],
      ['L', 2],
      ['L', 3, 'other'],
      ['R', 4],
    ],
    pairs: [
      [0, 4],
      [1, 4],
    ],
    refused: ['2 events of the key "k" wait on its side of the join already, which is its maxPerKey'],
  },
  'the latest left event that is not later': {
    join: { match: 'latest', within: {}, ...D5 },
    events: [
      ['L', 0],
      ['R', 9],
      ['L', 8],
      ['L', 20],
      ['R', 100],
      ['L', 200],
    ],
    pairs: [
      [8, 9],
      [20, 100],
    ],
  },
}

const cases = Object.entries(CASES).map(([name, given], i) => ({ name, type: `c${i}`, ...given }))
let pipeline: TestPipeline

const seconds = (time: string | undefined) => (time ? (Date.parse(time) - Date.parse(at(0).time)) / 1_000 : null)

beforeAll(async () => {
  const schema = Type.Object({})
  const sides = cases.flatMap(({ type }) => [`${type}.L`, `${type}.R`, `${type}.out`])
  const definitions = [...sides, 'self', 'self.out'].map((type) => defineEvent({ type, schema }))
  const make = (name: string, given: Partial<JoinDefinition>) =>
    defineJoin({
      ...{ name, within, from: 'earliest', emit: `${name}.out`, left: `${name}.L`, right: `${name}.R` },
      select: (left, right) => ({ left: seconds(left?.occurredAt), right: seconds(right?.occurredAt) }),
      ...given,
    } as JoinDefinition)
  const joins = cases.map(({ type, join = {} }) => make(type, join))
  pipeline = await startPipeline(definitions, {}, [...joins, make('self', { left: 'self', right: 'self' })])
  await pipeline.startWorker()
  const keys = { k: 'k', other: otherKey(pipeline.partitions) }
  for (const { type, events } of cases) {
    await pipeline.send(events.map(([side, when, key]: Sent) => at(when, 1, `${type}.${side}`, keys[key ?? 'k'])))
  }
  await pipeline.send([at(0, 1, 'self'), at(5, 1, 'self')])
  await untilRead(pipeline)
}, 60_000)

afterAll(() => pipeline.stop())

/** A key in the partition of `k`: they share event time. */
function otherKey(partitions: number): string {
  const partition = (key: string) => partitionOf('default', key, partitions)
  return Array.from({ length: 1_000 }, (_, n) => `key ${n}`).find((key) => partition(key) === partition('k'))!
}

async function pairsOf(name: string) {
  const { rows } = await pipeline.db.query('SELECT payload FROM raw_events WHERE type = $1 ORDER BY seq', [
    `${name}.out`,
  ])
  return rows.map(({ payload: { left, right } }) => [left, right])
}

test.each(cases)('$name', async ({ type, pairs, late = [], refused = [] }) => {
  expect(await pairsOf(type)).toEqual(pairs)
  expect(await lateEvents(pipeline, type)).toEqual(late)
  expect(await refusedOf(pipeline, `${type}.%`)).toEqual(refused)
})

test('a join of a type with itself pairs no event with itself', async () => {
  expect(await pairsOf('self')).toEqual([
    [5, 0],
    [0, 5],
  ])
})
