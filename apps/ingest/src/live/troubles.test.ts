/** What is wrong now, in words. */
import type { KnownWorker, ToldFigures, WaitingKey } from '@eventflow/db'
import type { PartitionLag, PipelineLag } from '@eventflow/monitor'
import { describe, expect, test } from '@jest/globals'
import { findTroubles, inWords, type Known } from './troubles.js'

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

const waiting = (of: Partial<WaitingKey> = {}): WaitingKey => ({
  ...{ id: 'e', type: 'flight.completed', key: 'DFW', partition: 7, attempts: 2, behind: 0 },
  ...{ acceptedAt: new Date(NOW - 42_000), dueAt: new Date(NOW + 7_000) },
  history: [{ attempt: 2, at: '', component: 'airports', errorClass: 'Error', message: 'airports lookup timed out' }],
  ...of,
})

const textsOf = (known: Partial<Known>) =>
  findTroubles({
    ...{ lag: lagOf(), workers: [], figures: [], waiting: [], rates: QUIET, attemptsOf: () => 4, now: NOW },
    ...known,
  }).map(({ level, text }) => `${level}: ${text}`)

describe('what is wrong', () => {
  test('is nothing when all is well, or has only begun to be late', () => {
    expect(textsOf({})).toEqual([])
    expect(textsOf({ waiting: [waiting({ acceptedAt: new Date(NOW - 2_000) })] })).toEqual([])
    expect(textsOf({ rates: { ...QUIET, out: 100, failed: 2 } })).toEqual([])
  })

  test.each<[string, Partial<Known>, string]>([
    ['Postgres is away', { lag: undefined }, 'bad: Postgres cannot be read'],
    ['Redis is away', { lag: lagOf({ redisError: 'no answer' }) }, 'warn: Redis does not answer'],
    ['no worker', { lag: lagOf({ workers: [] }) }, 'bad: No worker is alive'],
    [
      'a key that waits',
      { waiting: [waiting()] },
      'warn: Partition 7 has been waiting 42 s for key DFW: attempt 2 of 4 failed, the next is due at 12:01:07 UTC: airports lookup timed out',
    ],
    [
      'a key that waits for a replay',
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
      'warn: Partition 7 has been waiting 60 s',
    ],
    [
      'partitions without an owner',
      { lag: lagOf({ partitions: [partition(0), partition(1, { owner: null })] }) },
      'warn: 1 partition is without an owner: 1.',
    ],
    [
      'a worker that died',
      {
        workers: [{ id: 'b', alive: false, silentSeconds: 30, partitions: [], rival: null } as unknown as KnownWorker],
      },
      'warn: Worker b has given no sign of life for 30 s.',
    ],
    [
      'a dependency that is down',
      { figures: [{ process: 'a', circuits: { weather: 'open' } } as unknown as ToldFigures] },
      'bad: weather is down, as a found',
    ],
    [
      'catching up',
      { lag: lagOf({ partitions: [partition(3, { source: 'postgres', unsettled: 1_234 })] }) },
      'info: 1 partition is catching up from Postgres, 1,234 events to go: 3.',
    ],
    [
      'being slow',
      { lag: lagOf({ partitions: [partition(0), partition(1, { lagSeconds: 90 })], unsettled: 5 }) },
      'warn: Events wait 90 s for their turn in partition 1; 5 are on their way in all.',
    ],
    [
      'failing',
      { rates: { ...QUIET, out: 60, failed: 40 } },
      'warn: 40 % of what ends now are dead letters, 40 a second.',
    ],
    ['turning away', { rates: { ...QUIET, turnedAway: 3 } }, 'bad: 3 events a second are turned away with 503'],
  ])('%s', (_, known, expected) => {
    const [text, ...others] = textsOf(known)
    expect(text).toMatch(expected.slice(0, 20))
    expect(text).toContain(expected)
    expect(others).toEqual([])
  })

  test('is told with the worst first, and of many keys only a few', () => {
    const texts = textsOf({ waiting: Array.from({ length: 8 }, () => waiting()), rates: { ...QUIET, turnedAway: 1 } })
    expect(texts[0]).toMatch(/^bad/)
    expect(texts.at(-1)).toBe('warn: 3 more keys wait.')
    expect(texts).toHaveLength(7)
  })
})

test.each([
  [42.4, '42 s'],
  [125, '2 min'],
  [10_000, '3 h'],
  [200_000, '2 d'],
])('%p seconds are %p', (seconds, words) => {
  expect(inWords(seconds)).toBe(words)
})
