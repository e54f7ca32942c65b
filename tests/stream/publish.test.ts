/** Which events of a request are in which entry of which stream, and which are reported as missing. */
import { randomBytes } from 'node:crypto'
import { decodeEvent, unpackEntry } from '@eventflow/core'
import { connectRedis, createPublisher, createSeal, FIELD, type Redis, streamKey, untilReady } from '@eventflow/redis'
import { eventOf, redisUrl } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

const seal = createSeal(randomBytes(32))
let redis: Redis
let prefix: string

beforeAll(async () => {
  redis = connectRedis({ url: redisUrl(), onError: () => {} })
  await untilReady(redis, 5_000)
})

beforeEach(() => {
  prefix = `t${randomBytes(4).toString('hex')}`
})

afterAll(() => redis.disconnect())

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const inPartition = (partition: number, count: number) => upTo(count).map((seq) => eventOf(seq, partition))

/** The seqs in each entry of a stream. */
async function entriesOf(partition: number): Promise<number[][]> {
  const entries = await redis.xrange(streamKey(prefix, partition), '-', '+')
  return entries.map(([, [field, text]]) => {
    expect(field).toBe(FIELD)
    return unpackEntry(seal.open(streamKey(prefix, partition), text!)!).map((packed) => decodeEvent(packed).event.seq)
  })
}

test('each partition has its events in its stream, in the order given', async () => {
  const publisher = createPublisher(redis, prefix, seal, 1_000)
  const events = [eventOf(4, 1), eventOf(5, 2), eventOf(3, 1), eventOf(6, 1)]
  expect(await publisher.publish(events)).toEqual(new Set())
  expect(await publisher.publish([])).toEqual(new Set())
  expect([await entriesOf(1), await entriesOf(2)]).toEqual([[[4, 3, 6]], [[5]]])
})

test('an entry has at most fifty events', async () => {
  const publisher = createPublisher(redis, prefix, seal, 1_000)
  await publisher.publish(inPartition(1, 50))
  await publisher.publish(inPartition(2, 101))
  expect((await entriesOf(1)).map((seqs) => seqs.length)).toEqual([50])
  expect((await entriesOf(2)).map((seqs) => seqs.length)).toEqual([50, 50, 1])
  expect((await entriesOf(2)).flat()).toEqual(upTo(101))
})

test('and a maximum size, except for a single event that is larger', async () => {
  const half = `"${'x'.repeat(32_766)}"`
  const publisher = createPublisher(redis, prefix, seal, 1_000)
  const events = [half, half, half, '1', `"${'x'.repeat(70_000)}"`, '1'].map((payload, seq) =>
    eventOf(seq, 1, `{"a":${payload}}`),
  )
  const exact = [32_768, 32_768, 0].map((length, seq) => eventOf(seq, 2, 'x'.repeat(length)))
  await publisher.publish(events)
  await publisher.publish(exact)
  expect(await entriesOf(1)).toEqual([[0], [1], [2, 3], [4], [5]])
  const [first] = await redis.xrange(streamKey(prefix, 2), '-', '+')
  expect(unpackEntry(seal.open(streamKey(prefix, 2), first![1][1]!)!)).toHaveLength(3)
})

test('a full stream accepts nothing until it is shorter, and others are not held up', async () => {
  const publisher = createPublisher(redis, prefix, seal, 2)
  await publisher.publish([...inPartition(1, 50), eventOf(50, 1), eventOf(0, 2)])
  expect(await publisher.publish([eventOf(51, 1), eventOf(1, 2)])).toEqual(new Set([1]))
  expect([(await entriesOf(1)).length, (await entriesOf(2)).length]).toEqual([2, 2])
  await redis.del(streamKey(prefix, 1))
  // The length is that of the last round trip.
  expect(await publisher.publish([eventOf(51, 1)])).toEqual(new Set([1]))
  expect(await publisher.publish([eventOf(51, 1)])).toEqual(new Set())
  expect(await entriesOf(1)).toEqual([[51]])
})

test('a stream that Redis refuses to add to is reported, with one entry or several, and no other', async () => {
  const publisher = createPublisher(redis, prefix, seal, 1_000)
  for (const partition of [1, 2]) await redis.set(streamKey(prefix, partition), 'is no stream')
  const events = [eventOf(0, 1), ...inPartition(2, 60), ...inPartition(3, 60), eventOf(0, 4)]
  expect(await publisher.publish(events)).toEqual(new Set([1, 2]))
  expect((await entriesOf(3)).flat()).toEqual(upTo(60))
  expect(await entriesOf(4)).toEqual([[0]])
  // Its length could not be read, and must not be used.
  await redis.del(streamKey(prefix, 1))
  expect(await publisher.publish([eventOf(0, 1)])).toEqual(new Set())
})

test('without Redis every partition is reported', async () => {
  const lost = connectRedis({ url: redisUrl(), onError: () => {} })
  await untilReady(lost, 5_000)
  const publisher = createPublisher(lost, prefix, seal, 1_000)
  lost.disconnect()
  expect(await publisher.publish([eventOf(0, 1), ...inPartition(2, 60)])).toEqual(new Set([1, 2]))
})
