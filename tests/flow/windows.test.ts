/** Windows: what they count, when they close, and what is late. Each case has an event type and a window of its own. */
import {
  avg,
  calendar,
  defineEvent,
  hopping,
  max,
  min,
  session,
  sum,
  Type,
  type WindowDefinition,
} from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { at, lateEvents, refusedOf, resultsOf, untilRead, windowOf } from './windows.fixture.js'

const HOUR = 3_600

/** Seconds from ten o'clock on 2026-01-01 to a time. */
const secondsTo = (time: string) => (Date.parse(time) - Date.parse('2026-01-01T10:00:00Z')) / 1_000

interface Case {
  window?: Partial<WindowDefinition>
  /** The seconds of the events, in the order in which they are sent; with a value, if one is counted. */
  events: (number | [seconds: number, n: unknown])[]
  closed: [start: number, end: number, result: object][]
  late?: [at: number, watermark: number][]
  /** The messages of dead letters. */
  refused?: string[]
  /** The sizes of the batches in which the events are sent. */
  batches?: number[]
}

const n = { n: 2 }
const D5 = { time: { outOfOrderness: '5s' } }
const value = ({ data }: { data: Record<string, unknown> }) => data.n as number

const CASES: Record<string, Case> = {
  'counts each event once': { events: [0, 9.999, 10], closed: [[0, 10, n]] },
  'waits for events out of order': { window: D5, events: [1, 12, 8, 15], closed: [[0, 10, n]] },
  'records a late event': { window: D5, events: [1, 15, 9], closed: [[0, 10, { n: 1 }]], late: [[9, 10]] },
  ...Object.fromEntries(
    [
      [2, 1],
      [1, 1, 1],
    ].map((batches) => [
      `batches of ${batches} make no difference`,
      { window: D5, events: [1, 15, 9], closed: [[0, 10, { n: 1 }]], late: [[9, 10]], batches },
    ]),
  ),
  'an event that an aggregate refuses is a dead letter': {
    window: { aggregate: { n: sum(value) } },
    events: [[1, 1], [2, 'none'], [3, 5], 20],
    closed: [[0, 10, { n: 6 }]],
    refused: [
      `aggregate 'n': the function of sum returned the text "none"; expected a number, a BigInt or a decimal number as text, of at most 400 digits`,
    ],
  },
  'hopping windows share their events': {
    window: { window: hopping('10s', { every: '5s' }), aggregate: { n: sum(value) } },
    events: [
      [7, 1],
      [11, 2],
      [20, 3],
      [60, 0],
    ],
    closed: [
      [0, 10, { n: 1 }],
      [5, 15, { n: 3 }],
      [10, 20, { n: 2 }],
      [15, 25, { n: 3 }],
      [20, 30, { n: 3 }],
    ],
  },
  'an event is in the hopping windows that are still open': {
    window: { window: hopping('10s', { every: '5s' }) },
    events: [7, 12, 9, 60],
    closed: [
      [0, 10, { n: 1 }],
      [5, 15, { n: 3 }],
      [10, 20, { n: 1 }],
    ],
  },
  'an event exactly at the gap joins the session': {
    window: { window: session({ gap: '10s' }) },
    events: [0, 10, 21],
    closed: [[0, 10, n]],
  },
  'an event between two sessions merges them': {
    window: { window: session({ gap: '10s' }), time: { outOfOrderness: '30s' } },
    events: [0, 15, 8, 100],
    closed: [[0, 15, { n: 3 }]],
  },
  'a session has a longest time': {
    window: { window: session({ gap: '10s', max: '60s' }) },
    events: [0, 9, 18, 27, 36, 45, 54, 63, 200],
    closed: [
      [0, 54, { n: 7 }],
      [63, 63, { n: 1 }],
    ],
  },
  'windows before 1970 are aligned': {
    events: [secondsTo('1969-12-31T23:59:58Z'), 0],
    closed: [[secondsTo('1969-12-31T23:59:50Z'), secondsTo('1970-01-01T00:00:00Z'), { n: 1 }]],
  },
  'a day of the calendar may have 25 hours': {
    window: { window: calendar('day', { timeZone: 'Europe/Berlin' }) },
    events: [secondsTo('2025-10-26T00:30:00Z'), secondsTo('2025-10-26T01:30:00Z'), 0],
    closed: [[secondsTo('2025-10-25T22:00:00Z'), secondsTo('2025-10-25T22:00:00Z') + 25 * HOUR, n]],
  },
  'aggregates are exact': {
    window: { aggregate: { sum: sum(value), min: min(value), max: max(value), average: avg(value) } },
    events: [
      [1, 0.1],
      [2, 0.1],
      [3, 0.1],
      [11, 0],
      [12, '9007199254740993'],
      [13, '1'],
      [30, 0],
    ],
    closed: [
      [0, 10, { sum: 0.3, min: 0.1, max: 0.1, average: 0.1 }],
      [10, 20, { sum: '9007199254740994', min: 0, max: '9007199254740993', average: 3_002_399_751_580_330 }],
    ],
  },
}

const cases = Object.entries(CASES).map(([name, given], i) => ({ name, type: `case${i}`, ...given }))
let pipeline: TestPipeline

beforeAll(async () => {
  const definitions = cases.map(({ type }) => defineEvent({ type, schema: Type.Object({ n: Type.Unknown() }) }))
  const windows = cases.map(({ type, window }) => windowOf({ name: type, on: [type], ...window }))
  pipeline = await startPipeline(definitions, {}, windows)
  await pipeline.startWorker()
  for (const { type, events, batches = [events.length] } of cases) {
    const left = events.map((event) => (Array.isArray(event) ? at(event[0], event[1], type) : at(event, 1, type)))
    for (const size of batches) {
      await pipeline.send(left.splice(0, size))
      if (batches.length > 1) await untilRead(pipeline)
    }
  }
  await untilRead(pipeline)
}, 60_000)

afterAll(() => pipeline.stop())

test.each(cases)('$name', async ({ type, closed, late = [], refused = [] }) => {
  expect(await resultsOf(pipeline, type)).toEqual(closed)
  expect(await lateEvents(pipeline, type)).toEqual(late)
  expect(await refusedOf(pipeline, type)).toEqual(refused)
})
