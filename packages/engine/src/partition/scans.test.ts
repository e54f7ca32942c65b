/** Scans are divided and united without forgetting which events are in memory. */
import type { RawEvent } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { divide, positionOf, type Scan, startScan, unite, uniteAll } from './scans.js'

const read = (...tenants: string[]) => tenants.map((tenantId) => ({ tenantId }) as RawEvent)
const scanAt = (position: number, taken: number[], tenantId?: string): Scan => {
  return { tenantId, position, seen: position, taken: new Set(taken) }
}

test('the tenant with the most events gets a scan with the position and the taken seqs of the first', () => {
  const [first, own] = divide([scanAt(7, [8, 9])], read('a', 'b', 'b'))
  expect([first, own]).toEqual([scanAt(7, [8, 9]), scanAt(7, [8, 9], 'b')])
  own!.taken.add(12)
  expect(first.taken).toEqual(new Set([8, 9]))
})

test('a scan at the position of the first is united with it, with its taken seqs; one at another position is not', () => {
  const scans = unite([scanAt(7, [8]), scanAt(7, [9], 'a'), scanAt(5, [6], 'b')], () => true)
  expect(scans).toEqual([scanAt(7, [8, 9]), scanAt(5, [6], 'b')])
})

test('uniting all gives the lowest position and all taken seqs', () => {
  const [one, ...others] = uniteAll([scanAt(7, [8]), scanAt(5, [6, 9], 'a')])
  expect([one.position, one.taken, others]).toEqual([5, new Set([6, 8, 9]), []])
  expect(positionOf(startScan(3))).toBe(3)
})
