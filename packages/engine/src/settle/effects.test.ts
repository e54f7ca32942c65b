/** Handlers get their events in groups that keep the order of each key. */
import type { AcceptedEvent } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventOf } from '../partition/delivery.fixture.js'
import { groupByType, handlerLimitsOf } from './effects.js'

/** `'aX bY'`: an event of type a and key X, then one of type b and key Y. */
const eventsOf = (text: string) =>
  text.split(' ').map((word, seq) => eventOf(seq, { type: word.slice(0, 1), key: word.slice(1) }))

const grouped = (events: readonly AcceptedEvent[]) =>
  groupByType(events).map((group) => `${group.type}: ${group.events.map(({ key }) => key).join('')}`)

describe('events are grouped by type', () => {
  test.each([
    ['in one group a type, where no key has events of two types', 'aX bY aZ bY aX', ['a: XZX', 'b: YY']],
    ['in a new group where an event follows another type’s of its key', 'aX bX aX', ['a: X', 'b: X', 'a: X']],
    ['in the last group of the type, even so, for other keys', 'aX bX aX aY bY', ['a: X', 'b: X', 'a: XY', 'b: Y']],
  ])('%s', (_, events, groups) => {
    expect(grouped(eventsOf(events))).toEqual(groups)
  })

  test('where two tenants’ keys of one name are two keys', () => {
    const events = [eventOf(1, { type: 'a', key: 'X' }), eventOf(2, { type: 'b', key: 'X', tenantId: 'other' })]
    expect(grouped([...events, eventOf(3, { type: 'a', key: 'X' })])).toEqual(['a: XX', 'b: X'])
  })

  test('where there are no events there are no groups', () => {
    expect(groupByType([])).toEqual([])
  })
})

test('for any events none is lost, each key keeps its order, and there are no more groups than turns of type', () => {
  const event = fc.record({ type: fc.constantFrom('a', 'b', 'c'), key: fc.constantFrom('X', 'Y', 'Z', 'W') })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (drawn) => {
      const events = drawn.map((fields, seq) => eventOf(seq, fields))
      const groups = groupByType(events)
      const handed = groups.flatMap((group) => group.events)
      expect(handed.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(events.map(({ seq }) => seq))
      expect(groups.every(({ type, events: group }) => group.every((member) => member.type === type))).toBe(true)
      for (const key of ['X', 'Y', 'Z', 'W']) {
        const ofKey = (list: readonly AcceptedEvent[]) => list.filter((e) => e.key === key)
        expect(ofKey(handed)).toEqual(ofKey(events))
      }
      const turns = events.filter(({ type }, i) => type !== events[i - 1]?.type).length
      expect(groups.length).toBeLessThanOrEqual(turns)
    }),
  )
})

test.each([
  ['what the settings say', { callMs: 4_000, transactionMs: 7_000 }, { callMs: 4_000, transactionMs: 7_000 }],
  ['half a lease for a call', { callMs: 9_000, transactionMs: 7_000 }, { callMs: 5_000, transactionMs: 7_000 }],
  ['four fifths of one for all', { callMs: 4_000, transactionMs: 30_000 }, { callMs: 4_000, transactionMs: 8_000 }],
])('with a lease of 10 s handlers may take %s', (_, settings, limits) => {
  expect(handlerLimitsOf(settings, 10_000)).toEqual(limits)
})
