/** Unpacking entries, and closing an entry with the last of its events. */
import { packEntry } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { deliveryOf } from './delivery.fixture.js'
import { createOpenEntries, deliveriesOf, seqsOf } from './entries.js'

/** An entry of partition 3 with events of these seqs and partitions. */
const entryOf = (...events: [seq: number, partition: number][]) => ({
  id: '1-0',
  partition: 3,
  text: packEntry(
    events.map(([seq, partition]) => {
      const { event, payload } = deliveryOf(seq, { partition })
      const { data: _, ...meta } = event
      return { ...meta, payload }
    }),
  ),
})

test('an entry yields its events as first deliveries with the entry to acknowledge', () => {
  const deliveries = deliveriesOf(entryOf([8, 3], [5, 3]))
  expect(deliveries.map(({ event }) => event.seq)).toEqual([8, 5])
  expect(deliveries).toMatchObject([1, 2].map(() => ({ entryIds: ['1-0'], attempts: 0, inRetries: false })))
})

test('text that is not an event, and events of another partition, are left out', () => {
  expect(deliveriesOf(entryOf([8, 4], [5, 3])).map(({ event }) => event.seq)).toEqual([5])
  expect(deliveriesOf({ id: '1-0', partition: 3, text: packEntry([]) })).toEqual([])
  expect(deliveriesOf({ id: '1-0', partition: 3, text: 'no event' })).toEqual([])
  expect(deliveriesOf({ id: '1-0', partition: 3, text: undefined })).toEqual([])
})

test('an entry has a lowest and a highest seq; without events both are 0', () => {
  expect(seqsOf(entryOf([8, 3], [5, 3], [7, 3]))).toEqual({ lowest: 5, highest: 8 })
  expect(seqsOf(entryOf([8, 4]))).toEqual({ lowest: 0, highest: 0 })
})

test('an entry is closed with the last of its events, not before', () => {
  const entries = createOpenEntries()
  entries.open('1-0', new Set([1, 2]))
  entries.open('2-0', new Set([2]))
  expect(entries.close(['1-0'], 1)).toEqual([])
  expect(entries.close(['1-0', '2-0'], 2)).toEqual(['1-0', '2-0'])
  expect(entries.close(['1-0', '2-0'], 2)).toEqual([])
})

test('closing an event twice does not close an entry that has another open event', () => {
  const entries = createOpenEntries()
  entries.open('1-0', new Set([1, 2]))
  expect([entries.close(['1-0'], 1), entries.close(['1-0'], 1), entries.close(['1-0'], 2)]).toEqual([[], [], ['1-0']])
})

test('an entry that is opened again starts over; an unknown entry is not closed', () => {
  const entries = createOpenEntries()
  entries.open('1-0', new Set([1, 2, 3]))
  entries.close(['1-0'], 1)
  entries.open('1-0', new Set([1, 2]))
  expect([entries.close(['1-0'], 2), entries.close(['1-0'], 1)]).toEqual([[], ['1-0']])
  expect(entries.close(['7-0'], 1)).toEqual([])
})
