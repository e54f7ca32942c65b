/** Since when a worker has seen events accepted and settled: any doubt begins the time anew. */
import { describe, expect, test } from '@jest/globals'
import { lookAgain, NO_SIGHT, type Sight } from './ticks.js'

const s = (seconds: number) => BigInt(seconds * 1_000_000)
const view = (partition: number, source: 'new' | 'retries' | 'postgres' | 'stream' = 'stream', epoch = 1) => ({
  partition,
  epoch,
  source,
})
const since = (sight: Sight) =>
  Object.fromEntries([...sight.partitions].map(([id, seen]) => [id, Number(seen.since) / 1e6]))

/** The sight after looks at 1 s, 2 s, … up to `last`. */
function looking(last: number): Sight {
  let sight = NO_SIGHT
  for (let at = 1; at <= last; at++)
    sight = lookAgain(sight, { at: s(at), accepting: true }, [view(0), view(1, 'postgres')])
  return sight
}

describe('a worker has seen a partition', () => {
  test('since the first look at which it owned it', () => {
    expect(since(looking(5))).toEqual({ 0: 1, 1: 1 })
    const more = lookAgain(looking(5), { at: s(6), accepting: true }, [view(0), view(1), view(2)])
    expect(since(more)).toEqual({ 0: 1, 1: 1, 2: 6 })
  })

  test.each([
    ['no events are accepted', { at: s(6), accepting: false }, [view(0), view(1)], {}],
    ['it was not looked for 3 s', { at: s(8) + 1n, accepting: true }, [view(0)], { 0: 8.000001 }],
    ['the clock was set back', { at: s(4), accepting: true }, [view(0)], { 0: 4 }],
    [
      'it has lost the partition and taken it again',
      { at: s(6), accepting: true },
      [view(0, 'stream', 2), view(1)],
      { 0: 6, 1: 1 },
    ],
    ['the partition begins again', { at: s(6), accepting: true }, [view(0, 'new'), view(1, 'retries')], {}],
  ])('and the time begins anew when %s', (_, pulse, owned, expected) => {
    expect(since(lookAgain(looking(5), pulse, owned))).toEqual(expected)
  })

  test('and a look 3 s later is no break', () => {
    expect(since(lookAgain(looking(5), { at: s(8), accepting: true }, [view(0)]))).toEqual({ 0: 1 })
  })

  test('also after a look at which none were accepted', () => {
    const none = lookAgain(looking(5), { at: s(6), accepting: false }, [view(0)])
    expect(since(lookAgain(none, { at: s(7), accepting: true }, [view(0)]))).toEqual({ 0: 7 })
  })
})
