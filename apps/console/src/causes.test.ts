/** The tree of causes, including events that contradict each other. */
import { expect, test } from '@jest/globals'
import { type Branch, type Linked, treeOf } from './causes.js'

const event = (id: string, causationid?: string, external_id?: string): Linked => ({
  id,
  ...(causationid !== undefined && { causationid }),
  ...(external_id !== undefined && { external_id }),
})

/** `a(b(c) d)`, and `+2` for events that are too deep. */
const written = (trees: readonly Branch<Linked>[]): string =>
  trees
    .map(({ event, caused, deeper }) => {
      const below = [...(caused.length > 0 ? [written(caused)] : []), ...(deeper > 0 ? [`+${deeper}`] : [])]
      return event.id + (below.length > 0 ? `(${below.join(' ')})` : '')
    })
    .join(' ')

const sizeOf = (trees: readonly Branch<Linked>[]): number =>
  trees.reduce((size, { caused, deeper }) => size + 1 + deeper + sizeOf(caused), 0)

test.each<[string, Linked[], string]>([
  ['none', [], ''],
  ['one', [event('a')], 'a'],
  ['a tree, in the order of the events', [event('a'), event('b', 'a'), event('c', 'b'), event('d', 'a')], 'a(b(c) d)'],
  ['a cause by its producer’s id', [event('a', undefined, 'order 1'), event('b', 'order 1')], 'a(b)'],
  ['a cause that is not among them', [event('b', 'a'), event('c', 'b')], 'b(c)'],
  ['what came before its cause', [event('b', 'a'), event('a')], 'a(b)'],
  ['an event that says that it caused itself', [event('a', 'a'), event('b', 'a')], 'a(b)'],
  ['two that caused each other', [event('a', 'b'), event('b', 'a')], 'a(b)'],
  [
    'a circle beside a root, with something below it',
    [event('r'), event('a', 'c'), event('b', 'a'), event('c', 'b'), event('d', 'b')],
    'r a(b(c d))',
  ],
  [
    'eight of one id that caused themselves',
    Array.from({ length: 8 }, (_, i) => event(`${i}`, 'x', 'x')),
    '0(1 2 3 4 5 6 7)',
  ],
  [
    'eight of one id, the last of them without a cause',
    Array.from({ length: 8 }, (_, i) => event(`${i}`, i < 7 ? 'x' : undefined, 'x')),
    '0(1 2 3 4 5 6) 7',
  ],
])('%s', (_, events, expected) => {
  expect(written(treeOf(events))).toBe(expected)
})

test('what is deeper than twenty is counted', () => {
  const chain = Array.from({ length: 1_000 }, (_, i) => event(`${i}`, i > 0 ? `${i - 1}` : undefined))
  const text = written(treeOf(chain))
  expect(text).toMatch(/^0\(1\(2\(.*\(19\(20\(\+979\)+$/)
})

test.each<[string, (i: number) => Linked]>([
  ['in one chain', (i) => event(`${i}`, `${i - 1}`)],
  ['in one circle', (i) => event(`${i}`, `${(i + 1) % 20_000}`)],
  ['of one id and one cause', (i) => event(`${i}`, 'x', 'x')],
  ['in circles of two', (i) => event(`${i}`, `${i ^ 1}`)],
])('twenty thousand %s have their place once', (_, of) => {
  expect(sizeOf(treeOf(Array.from({ length: 20_000 }, (_, i) => of(i))))).toBe(20_000)
})
