/** Event ids: UUIDv7s that only ascend, UUIDv5s that never change. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createUuidV7, DEFAULT_SOURCE, eventIdOf, isUuid, uuidOf } from './uuid.js'

const ones = (buffer: Buffer) => buffer.fill(0xff)
const zeros = (buffer: Buffer) => buffer.fill(0)
const millisecondsOf = (uuid: string) => Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16)

test('a UUIDv7 begins with its time, and has its version and variant for any random bytes', () => {
  expect(createUuidV7(() => 0x0189_abcd_ef01, zeros)()).toBe('0189abcd-ef01-7000-8000-000000000000')
  expect(createUuidV7(() => 0x0189_abcd_ef01, ones)()).toBe('0189abcd-ef01-7000-bfff-ffffffffffff')
})

test('UUIDv7s ascend while the clock stands still, advances, and goes back', () => {
  const step = fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: -3_000, max: 3_000 }))
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 500 }), fc.array(fc.nat(0xff)), (steps, bytes) => {
      let now = 1_700_000_000_000
      let drawn = 0
      const random = (buffer: Buffer) => {
        for (let i = 0; i < buffer.length; i++) buffer[i] = bytes[drawn++ % bytes.length] ?? 0
        return buffer
      }
      const next = createUuidV7(() => now, random)
      const uuids = steps.map((ms) => {
        now += ms
        return next()
      })
      expect(uuids).toEqual([...new Set(uuids)].sort())
      expect(uuids.every(isUuid)).toBe(true)
    }),
  )
})

test('when the counter of a millisecond overflows, the time of UUIDv7s runs ahead until the clock has caught up', () => {
  let now = 5_000
  const next = createUuidV7(() => now, zeros)
  const first = Array.from({ length: 4_096 }, next)
  expect(first.every((uuid) => millisecondsOf(uuid) === 5_000)).toBe(true)
  expect(first.at(-1)).toBe('00000000-1388-7fff-8000-000000000000')
  expect(next()).toBe('00000000-1389-7000-8000-000000000000')
  now = 5_001
  expect(next()).toBe('00000000-1389-7001-8000-000000000000')
  now = 5_002
  expect(next()).toBe('00000000-138a-7000-8000-000000000000')
})

test('each UUIDv7 has fresh random bytes, however many are made', () => {
  let drawn = 0
  const numbered = (buffer: Buffer) => {
    for (let at = 12; at < buffer.length; at += 16) buffer.writeUInt32BE(drawn++, at)
    return buffer
  }
  const uuids = Array.from(
    { length: 1_000 },
    createUuidV7(() => 5_000, numbered),
  )
  expect(uuids.map((uuid) => Number.parseInt(uuid.slice(-8), 16))).toEqual([...uuids.keys()])
})

test('a producer’s id becomes the same UUIDv5 in every process and release', () => {
  // As Python has it: uuid5(uuid5(NAMESPACE_DNS, 'eventflow'), 'default\0/\0order-1').
  expect(uuidOf('default', '/', 'order-1')).toBe('50ab5d72-5bed-58a3-ab02-c9f7fb0d68b8')
})

test('UUIDv5s differ where tenant, source or id differ, and have their version and variant', () => {
  const text = fc.string({ maxLength: 5 }).filter((part) => !part.includes('\0'))
  const name = fc.tuple(text, text, text)
  fc.assert(
    fc.property(name, name, (a, b) => {
      expect(uuidOf(...a)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(uuidOf(...a) === uuidOf(...b)).toBe(a.every((part, i) => part === b[i]))
    }),
  )
})

test('two events of a tenant have the same event id if and only if their source and id are the same', () => {
  const uuid = fc.uuid().chain((id) => fc.constantFrom(id, id.toUpperCase()))
  const name = fc.tuple(
    fc.constantFrom(DEFAULT_SOURCE, '/a', '/A', '/other'),
    fc.oneof(uuid, fc.constantFrom('order-1', 'Order-1', '0')),
  )
  const meant = ([source, id]: [string, string]) => [source, isUuid(id) ? id.toLowerCase() : id].join(' ')
  const others: fc.Arbitrary<[[string, string], [string, string]]> = fc.oneof(
    fc.tuple(name, name),
    name.chain(([source, id]) =>
      fc.tuple(
        fc.constant([source, id] as [string, string]),
        fc.tuple(
          name.map(([s]) => s),
          fc.constantFrom(id, id.toUpperCase()),
        ),
      ),
    ),
  )
  fc.assert(
    fc.property(others, ([a, b]) => {
      expect(isUuid(eventIdOf('default', ...a))).toBe(true)
      expect(eventIdOf('default', ...a) === eventIdOf('default', ...b)).toBe(meant(a) === meant(b))
    }),
  )
})

test('a UUID of the default source is used as the event id; one of another source is not', () => {
  const uuid = '0190B2C4-0000-7000-8000-000000000001'
  expect(eventIdOf('default', '/', uuid)).toBe(uuid.toLowerCase())
  expect(eventIdOf('default', '/a', uuid)).toBe(uuidOf('default', '/a', uuid.toLowerCase()))
  expect(eventIdOf('other', '/a', uuid)).not.toBe(eventIdOf('default', '/a', uuid))
})

test.each([
  ['00000000-0000-0000-0000-000000000000', true],
  ['50AB5D72-5BED-58A3-AB02-C9F7FB0D68B8', true],
  ['50ab5d72-5bed-58a3-ab02-c9f7fb0d68b', false],
  ['50ab5d725bed58a3ab02c9f7fb0d68b8', false],
  ['50ab5d72-5bed-58a3-ab02-c9f7fb0d68b8\n', false],
  ['{50ab5d72-5bed-58a3-ab02-c9f7fb0d68b8}', false],
  ['', false],
])('whether %j is a UUID: %s', (text, answer) => {
  expect(isUuid(text)).toBe(answer)
})
