/** Problems in words; every alert has one. */
import { readdirSync, readFileSync } from 'node:fs'
import type { GroupState, KnownWorker, StatefulGroup, ToldFigures, WaitingKey } from '@eventflow/db'
import type { PartitionLag, PipelineLag } from '@eventflow/monitor'
import { describe, expect, test } from '@jest/globals'
import { createLateEvents } from './late-events.js'
import { createRecent, OBJECTIVE, type Tally, tallyBetween } from './recent.js'
import { findTroubles, type Known } from './troubles.js'
import { inWords } from './words.js'

const NOW = Date.parse('2026-03-01T12:01:00Z')

const partition = (number: number, of: Partial<PartitionLag> = {}): PartitionLag => ({
  ...{ partition: number, owner: 'a', epoch: 1, source: 'stream', depth: 0, pending: 0, unsettled: 0, retrying: 0 },
  ...{ lag: 0, lagSeconds: 0, oldestUnsettledAgeSeconds: 0, ...of },
})

const lagOf = (of: Partial<PipelineLag> = {}): PipelineLag => ({
  ...{ at: '', partitions: [partition(0), partition(1)], unsettled: 0, retrying: 0, lag: 0, lagSeconds: 0 },
  ...{ oldestUnsettledAgeSeconds: 0, workers: ['a'], redisError: null, ...of },
})

const QUIET: Known['rates'] = {
  ...{ in: 0, out: 0, failed: 0, retried: 0, rejected: 0, turnedAway: 0 },
  ...{ p50: null, p95: null, p99: null, answered95: null },
}

const CALM: Tally = { arrived: 0, turnedAway: 0, ended: 0, failed: 0, late: 0 }

const waiting = (of: Partial<WaitingKey> = {}): WaitingKey => ({
  ...{ id: 'e', type: 'flight.completed', key: 'DFW', partition: 7, attempts: 2, behind: 0 },
  ...{ acceptedAt: new Date(NOW - 42_000), dueAt: new Date(NOW + 7_000) },
  history: [
    { attempt: 2, at: '', component: 'enrich:airports', errorClass: 'Error', message: 'airports lookup timed out' },
  ],
  ...of,
})

/** A group in two partitions; `of` is the state in the first one. */
const groupOf = (of: Partial<GroupState['partitions'][0]> = {}, group: Partial<GroupState> = {}): GroupState => {
  const calm = { owner: 'a', position: 0, last: 0, low: 0, parked: 0, deadLetters: 0 }
  const lag = { events: 0, more: false, ageSeconds: 0 }
  return {
    ...{ name: 'invoicing', pausedFor: null, pausedBy: null, ...group },
    partitions: [
      { partition: 0, lag, ...calm, ...of },
      { partition: 1, lag, ...calm },
    ],
  } as GroupState
}

/** A window whose event time is behind in one partition. */
const windowOf = (lagSeconds: number, group: Partial<StatefulGroup> = {}) =>
  ({
    ...{ name: 'revenue', kind: 'window', pausedFor: null, ...group },
    state: { lagSeconds, lagging: lagSeconds > 0 ? { partition: 3, tenantId: 'acme' } : null },
  }) as StatefulGroup

const lateOf = (late: number) => new Map([['revenue', { handled: 1_000, late }]])

const lagging = { lag: { events: 3, more: false, ageSeconds: 61 } }

const troublesOf = (known: Partial<Known>) =>
  findTroubles({
    ...{ lag: lagOf(), workers: [], figures: [], waiting: [], dead: 0, partsAhead: 2, rates: QUIET, recent: CALM },
    ...{ groups: [], stateful: [], lateOf: new Map(), stalledSeconds: 0, attemptsOf: () => 4, now: NOW },
    ...known,
  })

const textsOf = (known: Partial<Known>) => troublesOf(known).map(({ level, text }) => `${level}: ${text}`)

describe('the list of problems', () => {
  test('is empty if all is well, or events are late only since a moment', () => {
    expect(textsOf({})).toEqual([])
    expect(textsOf({ waiting: [waiting({ acceptedAt: new Date(NOW - 2_000) })] })).toEqual([])
    expect(textsOf({ recent: { ...CALM, ended: 3_000, failed: 3, late: 3 } })).toEqual([])
    expect(textsOf({ stalledSeconds: 600 })).toEqual([])
    expect(textsOf({ stateful: [windowOf(300)], lateOf: lateOf(10) })).toEqual([])
    expect(textsOf({ stateful: [windowOf(360, { pausedFor: 'moving' })] })).toEqual([])
    expect(textsOf({ stalledSeconds: 600, lag: lagOf({ unsettled: 1, retrying: 1 }) })).toEqual([])
  })

  test.each<[string, Partial<Known>, string]>([
    ['Postgres cannot be reached', { lag: undefined }, 'bad: Postgres does not answer'],
    ['Redis is away', { lag: lagOf({ redisError: 'no answer' }) }, 'warn: Redis does not answer'],
    ['no worker', { lag: lagOf({ workers: [] }) }, 'bad: No worker is running'],
    [
      'a blocked key',
      { waiting: [waiting()] },
      'warn: Key DFW (partition 7) has been blocked for 42 s: attempt 2 of 4 failed, the next is due at 12:01:07 UTC: airports lookup timed out',
    ],
    [
      'a key blocked by a replayed event',
      {
        waiting: [
          waiting({
            acceptedAt: new Date(0),
            history: [
              { ...waiting().history[0]!, attempt: 0, at: new Date(NOW - 60_000).toISOString(), message: 'requested' },
            ],
          }),
        ],
      },
      'warn: Key DFW (partition 7) has been blocked for 60 s',
    ],
    [
      'partitions without an owner',
      { lag: lagOf({ partitions: [partition(0), partition(1, { owner: null })] }) },
      'warn: 1 partition is without an owner: 1.',
    ],
    [
      'a partition that is left alone',
      { lag: lagOf({ partitions: [partition(0, { owner: null, oldestUnsettledAgeSeconds: 61 })] }) },
      'bad: 1 partition is without an owner: 0.',
    ],
    [
      'a worker that died',
      {
        workers: [{ id: 'b', alive: false, silentSeconds: 30, partitions: [], rival: null } as unknown as KnownWorker],
      },
      'warn: Worker b has sent no heartbeat for 30 s.',
    ],
    [
      'a dependency that is down',
      { figures: [{ process: 'a', circuits: { weather: 'open' } } as unknown as ToldFigures] },
      'warn: weather is down, reported by a',
    ],
    [
      'catching up',
      { lag: lagOf({ partitions: [partition(3, { source: 'postgres', unsettled: 1_234 })] }) },
      'info: 1 partition is catching up from Postgres (1,234 events left): 3.',
    ],
    [
      'being slow',
      { lag: lagOf({ partitions: [partition(0), partition(1, { lagSeconds: 90 })], unsettled: 5 }) },
      'warn: Partition 1 lags 90 s behind; unsettled events in all partitions: 5.',
    ],
    [
      'having an old one',
      { lag: lagOf({ partitions: [partition(2, { oldestUnsettledAgeSeconds: 61 })], oldestUnsettledAgeSeconds: 61 }) },
      'warn: An event of partition 2 is still unsettled after 61 s; the objective is 60 s.',
    ],
    [
      'having one that is stuck',
      {
        lag: lagOf({ partitions: [partition(2, { oldestUnsettledAgeSeconds: 901 })], oldestUnsettledAgeSeconds: 901 }),
      },
      'bad: An event of partition 2 is still unsettled after 15 min',
    ],
    [
      'standing still',
      { lag: lagOf({ unsettled: 2 }), stalledSeconds: 61 },
      'bad: No event has been settled for 61 s, although 2 are unsettled.',
    ],
    [
      'failing, ten times over the objective',
      { recent: { ...CALM, ended: 3_000, failed: 30 } },
      'warn: 1 % of the events settled in the last 5 minutes failed (30 of 3,000); the limits are 0.1 % and 100 events.',
    ],
    [
      'failing often, though seldom by its share',
      { recent: { ...CALM, ended: 3_000_000, failed: 101 } },
      'warn: <0.1 % of the events settled in the last 5 minutes failed (101 of 3,000,000)',
    ],
    [
      'being late too often',
      { recent: { ...CALM, ended: 1_000, late: 2 } },
      'warn: 0.2 % of the events settled in the last 5 minutes took longer than 60 s (2 of 1,000); the objective allows 0.1 %.',
    ],
    [
      'turning away',
      { rates: { ...QUIET, turnedAway: 3 }, recent: { ...CALM, arrived: 100, turnedAway: 2 } },
      'bad: 2 % of the events of the last 5 minutes were refused with 503 (2 of 100)',
    ],
    [
      'turning a few away',
      { rates: { ...QUIET, turnedAway: 3 }, recent: { ...CALM, arrived: 10_000, turnedAway: 2 } },
      'warn: <0.1 % of the events of the last 5 minutes were refused with 503 (2 of 10,000)',
    ],
    ['dead letters', { dead: 1 }, 'info: 1 open dead letter: replay or discard it.'],
    [
      'what is not known',
      {
        ...{ workers: undefined, figures: undefined, waiting: undefined, dead: null },
        ...{ groups: undefined, stateful: undefined },
      },
      'warn: Postgres did not answer in time; not known: workers, counters, blocked keys, dead letters, groups, windows and joins.',
    ],
    [
      'a window that does not close',
      { stateful: [windowOf(360)] },
      'warn: Windows of revenue do not close: event time is 6 min behind (partition 3, tenant acme).',
    ],
    [
      'a join in which nothing expires',
      { stateful: [windowOf(360, { kind: 'join' })] },
      'warn: Events that wait in the join revenue do not expire: event time is 6 min behind',
    ],
    [
      'many late events',
      { stateful: [windowOf(0)], lateOf: lateOf(11) },
      'warn: 11 of the 1,000 events that the window revenue handled in the last 5 minutes came too late',
    ],
    [
      'a window that is behind for another reason',
      { stateful: [windowOf(360)], groups: [groupOf(lagging, { name: 'revenue' })] },
      'warn: Group revenue is 61 s behind.',
    ],
    ['a group that lags', { groups: [groupOf(lagging)] }, 'warn: Group invoicing is 61 s behind.'],
    [
      'a group that is paused, and therefore lags',
      { groups: [groupOf(lagging, { pausedFor: 'moving house', pausedBy: 'ada' })] },
      'warn: Group invoicing is paused by ada: moving house',
    ],
    [
      'a group that is not read in some partitions',
      { groups: [groupOf({ owner: null })] },
      'warn: 1 partition is without a reader in the group invoicing: 0.',
    ],
    [
      'a group that no worker reads',
      { groups: [{ ...groupOf(), partitions: [{ ...groupOf().partitions[0]!, owner: null }] }] },
      'warn: No worker reads the group invoicing: none has its definition.',
    ],
    [
      'dead letters of a group',
      { groups: [groupOf({ deadLetters: 2 })] },
      'info: Group invoicing has 2 open dead letters: replay or discard them.',
    ],
    [
      'no worker at all, which groups do not repeat',
      { lag: lagOf({ workers: [] }), groups: [groupOf({ owner: null })] },
      'bad: No worker is running',
    ],
  ])('%s', (_, known, expected) => {
    const [text, ...others] = textsOf(known)
    expect(text).toMatch(expected.slice(0, 20))
    expect(text).toContain(expected)
    // An event that makes no progress is also an old one.
    expect(others.filter((other) => !other.includes('after 61 s'))).toEqual([])
  })

  test('is listed with the worst first, and only a few of many keys', () => {
    const texts = textsOf({ waiting: Array.from({ length: 8 }, () => waiting()), lag: lagOf({ workers: [] }) })
    expect(texts[0]).toMatch(/^bad/)
    expect(texts.at(-1)).toBe('warn: 3 more keys are blocked.')
    expect(texts).toHaveLength(7)
  })
})

test('a page colours exactly the figures of the problems', () => {
  const lag = lagOf({ partitions: [partition(0, { lagSeconds: 16, owner: null })] })
  const recent = { arrived: 10, turnedAway: 1, ended: 10, failed: 1, late: 0 }
  const told = troublesOf({ lag, recent, rates: { ...QUIET, turnedAway: 1 }, dead: 7 })
  expect(told.map(({ level, figure }) => `${figure} ${level}`).sort()).toEqual([
    'dead info',
    'failed warn',
    'in bad',
    'oldest warn',
    'owner warn',
  ])
})

/**
 * For each alert of `prometheus/rules` and of `apps/alerts`: values just beyond its limit; undefined if *Live* cannot
 * know them.
 */
const ALERTS: Record<string, Partial<Known> | undefined> = {
  EventFlowSettlesLate: { recent: { ...CALM, ended: 1_000, late: 15 } },
  EventFlowSettlesLateForDays: { recent: { ...CALM, ended: 10_000, late: 11 } },
  EventFlowIngestRefuses: { recent: { ...CALM, arrived: 1_000, turnedAway: 11 } },
  EventFlowOverdue: {
    lag: lagOf({ partitions: [partition(0, { oldestUnsettledAgeSeconds: 61 })], oldestUnsettledAgeSeconds: 61 }),
  },
  EventFlowStuck: {
    lag: lagOf({ partitions: [partition(0, { oldestUnsettledAgeSeconds: 901 })], oldestUnsettledAgeSeconds: 901 }),
  },
  EventFlowLagGrows: { lag: lagOf({ partitions: [partition(0, { lagSeconds: 31 })] }) },
  EventFlowNoProgress: { lag: lagOf({ unsettled: 1 }), stalledSeconds: 121 },
  EventFlowWorkerStalled: { lag: lagOf({ unsettled: 1 }), stalledSeconds: 61 },
  EventFlowPartitionWithoutOwner: {
    lag: lagOf({ partitions: [partition(0, { owner: null, oldestUnsettledAgeSeconds: 61 })] }),
  },
  EventFlowCatchUpLong: {
    lag: lagOf({ partitions: [partition(0, { source: 'postgres', unsettled: 1, lagSeconds: 16 })] }),
  },
  EventFlowNotPublished: { lag: lagOf({ redisError: 'no answer' }) },
  EventFlowFencedWrites: undefined,
  EventFlowDeadLetters: { recent: { ...CALM, ended: 100, failed: 6 } },
  EventFlowDeadLettersOpen: { dead: 1 },
  EventFlowCircuitOpen: { figures: [{ process: 'a', circuits: { weather: 'open' } } as unknown as ToldFigures] },
  EventFlowGroupLags: { groups: [groupOf(lagging)] },
  EventFlowGroupPaused: { groups: [groupOf({}, { pausedFor: 'moving', pausedBy: 'ada' })] },
  EventFlowGroupDeadLetters: { groups: [groupOf({ deadLetters: 1 })] },
  EventFlowGroupWithoutReader: { groups: [groupOf({ owner: null })] },
  EventFlowWatermarkStands: { stateful: [windowOf(301)] },
  EventFlowLateEvents: { stateful: [windowOf(0)], lateOf: lateOf(11) },
  EventFlowPostgresAway: { lag: undefined },
  EventFlowRedisAway: { lag: lagOf({ redisError: 'no answer' }) },
  EventFlowStandbyBehind: undefined,
  EventFlowPostgresFillsUp: undefined,
  EventFlowPostgresFull: undefined,
  EventFlowNoPartAhead: { partsAhead: 0 },
  EventFlowProcessDown: {
    workers: [{ id: 'b', alive: false, silentSeconds: 30, partitions: [], rival: null } as unknown as KnownWorker],
  },
  EventFlowNoIngest: undefined,
  EventFlowNoWorkers: { lag: lagOf({ workers: [] }) },
  EventFlowRestarts: undefined,
  EventFlowEventLoopBlocked: undefined,
}

const RULES = new URL('../../../../prometheus/rules/', import.meta.url)
const rules = readdirSync(RULES)
  .map((name) => readFileSync(new URL(name, RULES), 'utf8'))
  .join('\n')
const severities = new Map(
  [...rules.matchAll(/- alert: (\w+)\n[\s\S]*?severity: (\w+)/g)].map(([, alert, severity]) => [alert!, severity!]),
)

describe('an alert of Prometheus is never on without a problem here', () => {
  test('all are known here, and the objective is the same', () => {
    expect(Object.keys(ALERTS).sort()).toEqual([...severities.keys()].sort())
    expect(rules).toContain(`settled_late:ratio_rate3d > ${OBJECTIVE.share}`)
    expect(rules).toContain(`bucket{le=~"${OBJECTIVE.withinSeconds}(`)
  })

  test.each(Object.entries(ALERTS).filter((alert): alert is [string, Partial<Known>] => alert[1] !== undefined))(
    '%s',
    (alert, known) => {
      const levels = ['info', 'warn', 'bad']
      // A burn rate takes hours to measure.
      const severity = alert === 'EventFlowSettlesLate' ? 'warning' : severities.get(alert)!
      const [worst] = troublesOf(known)
      expect(levels.indexOf(worst!.level)).toBeGreaterThanOrEqual(['info', 'warning', 'critical'].indexOf(severity))
    },
  )
})

const told = (service: 'ingest' | 'worker', counts: Record<string, number>, latency: number[]): ToldFigures => ({
  ...{ process: service, service, run: '1', counts, lastAt: 0, circuits: {}, ageSeconds: 0 },
  latency: { bounds: [1, 60], counts: latency },
})

test('five minutes are summed up from the counters of the processes', () => {
  const before = [told('ingest', { accepted: 10 }, [10, 0, 0]), told('worker', { processed: 10 }, [10, 0, 0])]
  const now = [
    told('ingest', { accepted: 15, duplicates: 2, rejected: 1, turnedAway: 3 }, [12, 3, 9]),
    told('worker', { processed: 13, failed: 2, duplicates: 7 }, [10, 3, 2]),
  ]
  const tally = tallyBetween(before, now)
  expect(tally).toEqual({ arrived: 11, turnedAway: 3, ended: 5, failed: 2, late: 2 })
  const recent = createRecent()
  recent.add(tally, 0)
  expect(recent.add(tally, 299_000)).toMatchObject({ ended: 10, late: 4 })
  expect(recent.add(CALM, 300_000)).toEqual(tally)
  expect(recent.add(CALM, 700_000)).toEqual(CALM)
})

test('late events of five minutes are summed up by window, and forgotten', () => {
  const events = createLateEvents()
  const before = [told('worker', { 'handled a b': 10, 'late a b': 1 }, []), told('ingest', { accepted: 1 }, [])]
  const now = [told('worker', { 'handled a b': 30, 'late a b': 6 }, []), told('ingest', { accepted: 9 }, [])]
  expect(events.add(before, now, 0)).toEqual(new Map([['a b', { handled: 20, late: 5 }]]))
  expect(events.add(before, now, 299_000)).toEqual(new Map([['a b', { handled: 40, late: 10 }]]))
  expect(events.add(now, now, 300_000)).toEqual(new Map([['a b', { handled: 20, late: 5 }]]))
})

test.each([
  [42.4, '42 s'],
  [125, '2 min'],
  [10_000, '3 h'],
  [200_000, '2 d'],
])('%p seconds are %p', (seconds, words) => {
  expect(inWords(seconds)).toBe(words)
})
