/** The events of the load are drawn, mixed and read as requested. */
import type { OutgoingEvent } from '@eventflow/client'
import { expect, test } from '@jest/globals'
import { mixed, mixedCount } from './mix.js'
import { createOrders } from './orders.js'
import { howFar } from './progress.js'
import { createRandom, createZipf } from './random.js'

const OPTIONS = { count: 100, startMs: Date.UTC(2026, 0, 1), seed: 7, keySkew: 1 }

test('the same seed makes the same orders, another seed others; ids ascend', () => {
  const orders = [...createOrders(OPTIONS)]
  expect([...createOrders(OPTIONS)]).toEqual(orders)
  const others = [...createOrders({ ...OPTIONS, seed: 8 })]
  expect(new Set([...orders, ...others].map(({ id }) => id)).size).toBe(200)
  expect(orders.map(({ id }) => id)).toEqual(orders.map(({ id }) => id).toSorted())
})

test("Zipf's law: in proportion to 1 / n^exponent; uniform at 0", () => {
  expect(draw(1)).toEqual([545, 273, 182].map((expected) => near(expected)))
  expect(draw(0)).toEqual([333, 333, 333].map((expected) => near(expected)))
})

test('the shares of the mix are exact', async () => {
  const orders = (await all(
    mixed(createOrders({ ...OPTIONS, count: 5000 }), 1000, SHARES, createRandom(1)),
  )) as OutgoingEvent[]
  expect(orders).toHaveLength(1200)
  expect(mixedCount(1000, SHARES)).toBe(1200)
  const byId = new Map(orders.map((order) => [order.id, order]))
  expect(byId.size).toBe(1000)
  expect([...byId.values()].filter(({ data }) => data.spoiled)).toHaveLength(50)
  for (const order of orders) expect(order).toEqual(byId.get(order.id))
})

test('the progress line', () => {
  expect(howFar(2500, 10_000, 2)).toBe('██░░░░░░░░ 25%  2,500/10,000  1,250/s  6 s left')
  expect(howFar(0, 10, 1)).toBe('░░░░░░░░░░ 0%  0/10  0/s')
  expect(howFar(2500, undefined, 2)).toBe('2,500 events  1,250/s')
})

const SHARES = { invalid: 0.05, duplicates: 0.2 }

/** How often 0, 1 and 2 come up in a thousand draws, averaged over a hundred thousand. */
function draw(exponent: number): number[] {
  const counts = [0, 0, 0]
  const next = createZipf(3, exponent, createRandom(1))
  for (let n = 0; n < 100_000; n++) counts[next()]! += 0.01
  return counts
}

function near(expected: number) {
  return expect.closeTo(expected, -1)
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
