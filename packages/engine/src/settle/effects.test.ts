/** Events are passed to handlers in groups that keep the order of each key. */
import type { AcceptedEvent } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventOf } from '../partition/delivery.fixture.js'
import { groupByType, handlerLimitsOf } from './effects.js'

/** `'aX bY'`: an event of type a and key X, then an event of type b and key Y. */
const eventsOf = (text: string) =>
  text.split(' ').map((word, seq) => eventOf(seq, { type: word.slice(0, 1), key: word.slice(1) }))

const grouped = (events: readonly AcceptedEvent[]) =>
  groupByType(events).map((group) => `${group.type}: ${group.events.map(({ key }) => key).join('')}`)

describe('events are grouped by type', () => {
  test.each([
    ['in one group for each type, if no key has events of two types', 'aX bY aZ bY aX', ['a: XZX', 'b: YY']],
    ['in a new group if an event follows one of another type with the same key', 'aX bX aX', ['a: X', 'b: X', 'a: X']],
    ['in the last group of the type for other keys', 'aX bX aX aY bY', ['a: X', 'b: X', 'a: XY', 'b: Y']],
  ])('%s', (_, events, groups) => {
    expect(grouped(eventsOf(events))).toEqual(groups)
  })

  test('and equal keys of two tenants are different keys', () => {
    const events = [eventOf(1, { type: 'a', key: 'X' }), eventOf(2, { type: 'b', key: 'X', tenantId: 'other' })]
    expect(grouped([...events, eventOf(3, { type: 'a', key: 'X' })])).toEqual(['a: XX', 'b: X'])
  })

  test('and no events give no groups', () => {
    expect(groupByType([])).toEqual([])
  })
})

test('for any events none is lost, each key keeps its order, and there are at most as many groups as changes of type', () => {
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
  ['as long as the settings say', { callMs: 4_000, transactionMs: 7_000 }, { callMs: 4_000, transactionMs: 7_000 }],
  ['at most half a lease for a call', { callMs: 9_000, transactionMs: 7_000 }, { callMs: 5_000, transactionMs: 7_000 }],
  [
    'at most four fifths of a lease for all',
    { callMs: 4_000, transactionMs: 30_000 },
    { callMs: 4_000, transactionMs: 8_000 },
  ],
])('with a lease of 10 s, handlers may take %s', (_, settings, limits) => {
  expect(handlerLimitsOf(settings, 10_000)).toEqual(limits)
})
