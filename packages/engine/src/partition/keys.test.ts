/** Under all conditions, the events of a key are handed out in order; none is lost or handed out twice. */
import { type Delivery, orderingKey } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { deliveryOf } from './delivery.fixture.js'
import { createKeys } from './keys.js'

const orderOf = ({ event }: Delivery) => orderingKey(event)
const seqs = (deliveries: readonly Delivery[]) => deliveries.map(({ event }) => event.seq)
const of = (key: string, seq: number, entryId = `${seq}-0`) => deliveryOf(seq, { key }, { entryIds: [entryId] })

describe('a key', () => {
  test('is free at first: all its events may be processed', () => {
    const keys = createKeys(orderOf)
    expect(seqs(keys.takeIn([of('a', 1), of('b', 2), of('a', 3)]))).toEqual([1, 2, 3])
    expect([keys.size(), keys.nextDue(), keys.takeDue(Number.MAX_VALUE)]).toEqual([0, Number.POSITIVE_INFINITY, []])
  })

  test('that is blocked blocks its later events, but no other key', () => {
    const keys = createKeys(orderOf)
    keys.block(of('a', 1), 100)
    expect(seqs(keys.takeIn([of('a', 2), of('b', 3), of('a', 4)]))).toEqual([3])
    expect([keys.size(), keys.nextDue()]).toEqual([3, 100])
    expect(keys.takeDue(99)).toEqual([])
    expect(seqs(keys.takeDue(100))).toEqual([1, 2, 4])
    expect([keys.size(), keys.nextDue()]).toEqual([0, Number.POSITIVE_INFINITY])
    expect(seqs(keys.takeIn([of('a', 5)]))).toEqual([5])
  })

  test('is due when its head is due; the events behind it change nothing', () => {
    const keys = createKeys(orderOf)
    keys.block(of('a', 1), 100)
    keys.block(of('a', 2), 0)
    keys.block(of('a', 3), 900)
    expect(keys.nextDue()).toBe(100)
    expect(keys.takeDue(50)).toEqual([])
    expect(seqs(keys.takeDue(100))).toEqual([1, 2, 3])
  })

  test('is blocked within its tenant only', () => {
    const keys = createKeys(orderOf)
    keys.block(deliveryOf(1, { key: 'a', tenantId: 'x' }), 100)
    expect(seqs(keys.takeIn([deliveryOf(2, { key: 'a', tenantId: 'y' })]))).toEqual([2])
  })
})

describe('blocked events', () => {
  test('are found by `has` until they are taken out', () => {
    const keys = createKeys(orderOf)
    keys.block(of('a', 1), 100)
    keys.takeIn([of('a', 2), of('b', 3)])
    const known = () => [1, 2, 3].map((seq) => keys.has(of('any', seq).event))
    expect(known()).toEqual([true, true, false])
    keys.takeDue(100)
    expect(known()).toEqual([false, false, false])
  })

  test('that have a row in retries are listed by `inRetries`', () => {
    const keys = createKeys(orderOf)
    keys.block({ ...of('a', 1), inRetries: true }, 100)
    keys.block(of('b', 2), 100)
    keys.takeIn([of('a', 3)])
    expect(keys.inRetries().map(({ seq }) => seq)).toEqual([1])
    keys.takeDue(100)
    expect(keys.inRetries()).toEqual([])
  })

  test('that are neither in the stream nor in retries are listed by `onlyHere`', () => {
    const keys = createKeys(orderOf)
    const fromPostgres = (key: string, seq: number) => deliveryOf(seq, { key }, { entryIds: [] })
    keys.block({ ...fromPostgres('a', 1), inRetries: true }, 100)
    keys.block(of('b', 2), 100)
    keys.takeIn([fromPostgres('a', 3), fromPostgres('c', 4), fromPostgres('b', 5)])
    expect(seqs(keys.onlyHere())).toEqual([3, 5])
    keys.takeDue(100)
    expect(keys.onlyHere()).toEqual([])
  })

  test('that have no row in retries give the lowest seq', () => {
    const keys = createKeys(orderOf)
    expect(keys.lowestSeq()).toBe(Number.POSITIVE_INFINITY)
    keys.block({ ...of('a', 1), inRetries: true }, 100)
    expect(keys.lowestSeq()).toBe(Number.POSITIVE_INFINITY)
    keys.takeIn([of('a', 7), of('b', 2)])
    keys.block(of('c', 5), 200)
    expect(keys.lowestSeq()).toBe(5)
    keys.takeDue(200)
    expect(keys.lowestSeq()).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a second entry of an event', () => {
  test('that is blocked is merged into it, and both entries are acknowledged with it', () => {
    const keys = createKeys(orderOf)
    keys.block(of('a', 1, '1-0'), 100)
    expect(keys.takeIn([of('a', 1, '9-0'), of('a', 1, '1-0'), of('a', 2, '2-0'), of('a', 2, '8-0')])).toEqual([])
    expect(keys.size()).toBe(2)
    expect(keys.takeDue(100).map(({ entryIds }) => entryIds)).toEqual([
      ['1-0', '9-0'],
      ['2-0', '8-0'],
    ])
  })

  test('in the same batch is merged into the first', () => {
    const handed = createKeys(orderOf).takeIn([of('a', 1, '1-0'), of('b', 2, '2-0'), of('a', 1, '3-0')])
    expect(handed.map(({ event, entryIds }) => [event.seq, entryIds])).toEqual([
      [1, ['1-0', '3-0']],
      [2, ['2-0']],
    ])
  })
})

/** One turn of a lane: entries arrive, time passes, and some attempts fail. */
const turn = fc.record({
  /** Keys of new events. */
  arriving: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 }),
  /** Indexes of unsettled events that another entry delivers again, modulo their number. */
  repeating: fc.array(fc.nat(), { maxLength: 3 }),
  /** Whether the first, second and following attempts of this turn fail. */
  failing: fc.array(fc.boolean(), { maxLength: 8 }),
  delayMs: fc.nat(5),
  elapsedMs: fc.nat(5),
})

test('in any sequence of arrivals, second entries, failures and delays, the events of each key are settled once and in order', () => {
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 40 }), (turns) => {
      const keys = createKeys(orderOf)
      const accepted: Delivery[] = []
      const settled = new Map<number, Delivery>()
      /** The model: the seqs of each blocked key, its head first, and when it is due. */
      const blocked = new Map<string, { dueAt: number; seqs: number[] }>()
      let stream: Delivery[] = []
      let entries = 0
      let now = 0

      const deliver = (delivery: Delivery) => stream.push({ ...delivery, entryIds: [`${++entries}-0`] })

      function take(): Delivery[] {
        const isDue = [...blocked].filter(([, { dueAt }]) => dueAt <= now)
        const due = keys.takeDue(now)
        expect(seqs(due)).toEqual(isDue.flatMap(([, key]) => key.seqs))
        for (const [key] of isDue) blocked.delete(key)
        if (due.length > 0) return due
        const read = stream
        stream = []
        const ready = keys.takeIn(read)
        for (const { event } of read) {
          const key = blocked.get(event.key)
          if (key && !key.seqs.includes(event.seq)) key.seqs.push(event.seq)
        }
        expect(ready.some(({ event }) => blocked.has(event.key))).toBe(false)
        return ready
      }

      function attempt(handed: readonly Delivery[], fails: (attempt: number) => boolean, delayMs: number): void {
        expect(new Set(seqs(handed)).size).toBe(handed.length)
        handed.forEach((delivery, i) => {
          const { seq, key } = delivery.event
          const ahead = blocked.get(key)
          if (ahead || fails(i)) {
            keys.block(delivery, now + delayMs)
            if (ahead) ahead.seqs.push(seq)
            else blocked.set(key, { dueAt: now + delayMs, seqs: [seq] })
            return
          }
          const earlier = accepted.filter(({ event }) => event.key === key && event.seq < seq)
          expect(earlier.every(({ event }) => settled.has(event.seq))).toBe(true)
          expect(settled.has(seq)).toBe(false)
          settled.set(seq, delivery)
        })
        // If a second entry is read after its event was settled, Postgres detects it, not `Keys`.
        stream = stream.filter(({ event, entryIds }) => {
          const first = settled.get(event.seq)
          first?.entryIds.push(...entryIds)
          return !first
        })
        expect(keys.nextDue()).toBe(Math.min(...[...blocked.values()].map(({ dueAt }) => dueAt)))
        expect(keys.size()).toBe([...blocked.values()].reduce((sum, key) => sum + key.seqs.length, 0))
      }

      for (const { arriving, repeating, failing, delayMs, elapsedMs } of turns) {
        for (const key of arriving) {
          const delivery = of(key, accepted.length + 1)
          accepted.push(delivery)
          deliver(delivery)
        }
        const unsettled = accepted.filter(({ event }) => !settled.has(event.seq))
        for (const index of repeating) if (unsettled.length > 0) deliver(unsettled[index % unsettled.length]!)
        now += elapsedMs
        attempt(take(), (i) => failing[i] ?? false, delayMs)
      }
      while (keys.size() > 0 || stream.length > 0) {
        now = Math.max(now, Math.min(keys.nextDue(), now + 10))
        attempt(take(), () => false, 0)
      }

      expect([...settled.keys()].sort((a, b) => a - b)).toEqual(seqs(accepted))
      const acknowledged = [...settled.values()].flatMap(({ entryIds }) => entryIds)
      expect(acknowledged.sort()).toEqual(Array.from({ length: entries }, (_, i) => `${i + 1}-0`).sort())
    }),
    { numRuns: 300 },
  )
})
