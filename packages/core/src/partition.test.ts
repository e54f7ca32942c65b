/** Partitions never change, and are evenly filled. */
import { expect, test } from '@jest/globals'
import { partitionOf } from './partition.js'

test.each([
  ['default', 'ORD', 6, 518],
  ['default', 'LAX', 13, 861],
  ['default', '', 0, 832],
  ['acme', 'ORD', 9, 985],
  ['default', 'ключ', 4, 212],
  ['default', '🛫', 2, 482],
])('the partition of key %s / %s never changes', (tenant, key, of16, of1024) => {
  expect(partitionOf(tenant, key, 16)).toBe(of16)
  expect(partitionOf(tenant, key, 1024)).toBe(of1024)
})

test('the boundary between tenant and key matters', () => {
  const partitions = [partitionOf('a', 'bc', 1024), partitionOf('ab', 'c', 1024), partitionOf('abc', '', 1024)]
  expect(new Set(partitions).size).toBe(3)
})

/** Chi-square with 15 degrees of freedom: a uniform distribution exceeds this once in a thousand times. */
const CHI_SQUARE_LIMIT = 37.7
const KEYS = 100_000

test.each<[string, (n: number) => string]>([
  ['numbers', (n) => `${n}`],
  ['names with a number', (n) => `user-${n}`],
  ['codes of four characters', (n) => n.toString(36).padStart(4, '0')],
  ['two characters beyond Latin', (n) => String.fromCharCode(0x4e00 + (n % 20_000), 0x0400 + Math.floor(n / 20_000))],
])('short keys that are %s fill 16 partitions evenly', (_, keyOf) => {
  const filled = new Array<number>(16).fill(0)
  for (let n = 0; n < KEYS; n++) {
    const partition = partitionOf('default', keyOf(n), 16)
    filled[partition] = filled[partition]! + 1
  }
  const even = KEYS / 16
  expect(filled.reduce((sum, count) => sum + (count - even) ** 2 / even, 0)).toBeLessThan(CHI_SQUARE_LIMIT)
})
