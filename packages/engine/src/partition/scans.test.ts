/** Scans are divided and united without forgetting what is in hand. */
import type { RawEvent } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { divide, positionOf, type Scan, startScan, unite, uniteAll } from './scans.js'

const read = (...tenants: string[]) => tenants.map((tenantId) => ({ tenantId }) as RawEvent)
const scanAt = (position: number, taken: number[], tenantId?: string): Scan => {
  return { tenantId, position, seen: position, taken: new Set(taken) }
}

test('the tenant with the most gets a scan that begins where the first is and has in hand what the first has', () => {
  const [first, own] = divide([scanAt(7, [8, 9])], read('a', 'b', 'b'))
  expect([first, own]).toEqual([scanAt(7, [8, 9]), scanAt(7, [8, 9], 'b')])
  own!.taken.add(12)
  expect(first.taken).toEqual(new Set([8, 9]))
})

test('a scan that is level is united with the first, with what it has in hand; one at another position is not', () => {
  const scans = unite([scanAt(7, [8]), scanAt(7, [9], 'a'), scanAt(5, [6], 'b')], () => true)
  expect(scans).toEqual([scanAt(7, [8, 9]), scanAt(5, [6], 'b')])
})

test('all united begin at the lowest position, with all that is in hand', () => {
  const [one, ...others] = uniteAll([scanAt(7, [8]), scanAt(5, [6, 9], 'a')])
  expect([one.position, one.taken, others]).toEqual([5, new Set([6, 8, 9]), []])
  expect(positionOf(startScan(3))).toBe(3)
})
