/** Bisection finds exactly the items at fault. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { bisect } from './bisect.js'

class OutageError extends Error {}
class ItemError extends Error {}

const concernsOneItem = (error: unknown) => error instanceof ItemError

/** Bisects `count` items of which some are bad; returns the runs, the reports, and the number of runs. */
async function bisectWith(count: number, isBad: (item: number) => boolean) {
  const items = Array.from({ length: count }, (_, item) => item)
  const done: number[] = []
  const reported: number[] = []
  const events: string[] = []
  let runs = 0
  await bisect(
    items,
    async (part) => {
      runs++
      const bad = part.find(isBad)
      if (bad !== undefined) throw new ItemError(`${bad}`)
      done.push(...part)
      events.push(...part.map((item) => `${item} done`))
    },
    (item, error) => {
      expect(error).toEqual(new ItemError(`${item}`))
      reported.push(item)
      events.push(`${item} reported`)
    },
    concernsOneItem,
  )
  return { items, done, reported, events, runs }
}

test('every bad item is reported once with its own error, every other item runs once, and all in order', async () => {
  const batch = fc.tuple(fc.nat(200), fc.uniqueArray(fc.nat(200)))
  await fc.assert(
    fc.asyncProperty(batch, async ([count, badItems]) => {
      const bad = new Set(badItems)
      const { items, done, reported, events } = await bisectWith(count, (item) => bad.has(item))
      expect(done).toEqual(items.filter((item) => !bad.has(item)))
      expect(reported).toEqual(items.filter((item) => bad.has(item)))
      expect(events).toEqual(items.map((item) => `${item} ${bad.has(item) ? 'reported' : 'done'}`))
    }),
  )
})

test('one bad item among a thousand is found in about twenty runs', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(999), async (bad) => {
      expect((await bisectWith(1_000, (item) => item === bad)).runs).toBeLessThanOrEqual(21)
    }),
    { numRuns: 20 },
  )
})

test('no items cause no run, and good items run all at once', async () => {
  expect((await bisectWith(0, () => true)).runs).toBe(0)
  expect((await bisectWith(1_000, () => false)).runs).toBe(1)
})

test('an error that concerns no single item ends the bisection at once, and reports nothing', async () => {
  const runs: number[][] = []
  const reported: number[] = []
  const run = async (part: readonly number[]) => {
    runs.push([...part])
    throw part.length > 2 ? new ItemError() : new OutageError()
  }
  const halving = bisect([1, 2, 3, 4], run, (item) => void reported.push(item), concernsOneItem)
  await expect(halving).rejects.toThrow(OutageError)
  expect(runs).toEqual([
    [1, 2, 3, 4],
    [1, 2],
  ])
  expect(reported).toEqual([])
})

test('a report that fails ends the bisection', async () => {
  const run = async () => {
    throw new ItemError()
  }
  const report = async () => {
    throw new OutageError()
  }
  await expect(bisect([1, 2], run, report, concernsOneItem)).rejects.toThrow(OutageError)
})

test('a half begins only when the previous half has ended, including its reports', async () => {
  const order: string[] = []
  await bisect(
    [1, 2],
    async (part) => {
      order.push(`run ${part}`)
      if (part.includes(1)) throw new ItemError()
    },
    async (item) => {
      await null
      order.push(`reported ${item}`)
    },
    concernsOneItem,
  )
  expect(order).toEqual(['run 1,2', 'run 1', 'reported 1', 'run 2'])
})
