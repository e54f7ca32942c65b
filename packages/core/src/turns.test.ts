/** Turns: no party waits for more than one turn of each other party, however much the others request. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createTurns, TooManyWaitingError } from './turns.js'

/** Lets promises that can resolve do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

test('a waiting party gets its turn after one turn of each other party, despite their many requests', async () => {
  const { take } = createTurns({ atOnce: 1, atOnceEach: 1, waitingEach: 50 })
  const order: string[] = []
  const ask = async (party: string) => {
    const end = await take(party)
    order.push(party)
    await settle()
    end()
  }
  const asked = [...Array.from({ length: 20 }, () => ask('a')), ...Array.from({ length: 20 }, () => ask('b'))]
  await Promise.all([...asked, ask('c')])
  // The first turn was taken before the other parties arrived.
  expect(order.slice(0, 10).join('')).toBe('aabcababab')
})

test('one party cannot take all turns, and is refused beyond its waiting limit', async () => {
  const { take } = createTurns({ atOnce: 3, atOnceEach: 2, waitingEach: 1 })
  const ends = [await take('a'), await take('a')]
  const third = take('a')
  await expect(take('a')).rejects.toThrow(TooManyWaitingError)
  ends.push(await take('b'))
  ends[0]!()
  ends.push(await third)
  for (const end of ends.slice(1)) end()
  await Promise.all(['a', 'a', 'b'].map(take))
})

test('with a waiting limit of zero, a request without an immediate turn is refused', async () => {
  const { take } = createTurns({ atOnce: 3, atOnceEach: 2, waitingEach: 0 })
  const ends = [await take('a'), await take('a')]
  await expect(take('a')).rejects.toThrow('2 requests are under way, and 0 wait')
  ends.push(await take('b'))
  await expect(take('b')).rejects.toThrow(TooManyWaitingError)
  for (const end of ends) end()
  await take('b')
})

test('the limits hold, and every waiting request gets its turn', async () => {
  const party = fc.constantFrom('a', 'b', 'c', 'd')
  const limits = fc.record({
    atOnce: fc.integer({ min: 1, max: 4 }),
    atOnceEach: fc.integer({ min: 1, max: 3 }),
    waitingEach: fc.integer({ min: 1, max: 5 }),
  })
  const property = fc.asyncProperty(limits, fc.array(party, { maxLength: 60 }), async (given, asked) => {
    const { take } = createTurns(given)
    const running: string[] = []
    const ask = async (party: string) => {
      const end = await take(party)
      running.push(party)
      expect(running.length).toBeLessThanOrEqual(given.atOnce)
      expect(running.filter((one) => one === party).length).toBeLessThanOrEqual(given.atOnceEach)
      await settle()
      running.splice(running.indexOf(party), 1)
      end()
      return party
    }
    const results = await Promise.allSettled(asked.map(ask))
    for (const one of new Set(asked)) {
      const had = results.filter((result) => result.status === 'fulfilled' && result.value === one).length
      const wanted = asked.filter((party) => party === one).length
      expect(had).toBeGreaterThanOrEqual(Math.min(wanted, given.waitingEach))
    }
  })
  await fc.assert(property, { numRuns: 50 })
})
