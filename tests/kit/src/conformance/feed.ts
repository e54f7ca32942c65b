/**
 * The conformance suite of feeds: every implementation of `Feed` and `Publisher` must pass it.
 *
 * A rig gives the suite an empty feed of some partitions; each case has a new rig. `tests/feeds` runs the cases.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import {
  decodeEvent,
  type Entry,
  type Feed,
  type FeedMonitor,
  type Publisher,
  type RawEvent,
  unpackEntry,
} from '@eventflow/core'
import { until } from '../until.js'
import { eventOf } from './event-of.js'

/** One feed under test. */
export interface FeedRig {
  publisher: Publisher
  monitor: FeedMonitor
  /** Opens the feed under an unused consumer name. */
  open(name: string): Promise<Feed>
  /** Adds an entry that this installation did not write. */
  addForeign(partition: number): Promise<void>
  /** Resolves when a read of an open feed waits at the server. */
  untilWaiting(): Promise<void>
  /** Breaks the connections of the feeds that are open; resolves when they are connected again. */
  breakConnections(): Promise<void>
  /** Takes the server away; what it gives brings it back. */
  takeAway(): Promise<() => Promise<void>>
  /** Puts an empty server in place of the present one, as after a failover that lost everything. */
  replaceServer(): Promise<void>
}

/** The number of partitions of a rig. */
export const RIG_PARTITIONS = 3

export interface FeedCase {
  name: string
  play(rig: FeedRig): Promise<void>
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const seqsIn = (entries: readonly Entry[]) =>
  entries.flatMap(({ text }) => unpackEntry(text!).map((packed) => decodeEvent(packed).event.seq))
const ALL = { count: 1_000, blockMs: 0 }

/** A feed of partitions that exist. */
async function opened(rig: FeedRig, name = 'first'): Promise<Feed> {
  const feed = await rig.open(name)
  for (const partition of upTo(RIG_PARTITIONS)) if (!(await feed.exists(partition))) ok(await feed.create(partition))
  return feed
}

/** What the feed tells of interruptions, from now on. */
function interruptionsOf(feed: Feed): (readonly number[] | 'all')[] {
  const told: (readonly number[] | 'all')[] = []
  feed.onInterrupted((partitions) => told.push(partitions))
  return told
}

async function claimed(feed: Feed, partition = 0): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const some of feed.claim(partition)) entries.push(...some)
  return entries
}

/** Publishes events one after the other, each in a separate entry. */
async function publishSingly({ publisher }: FeedRig, events: readonly RawEvent[]): Promise<void> {
  for (const event of events) deepEqual(await publisher.publish([event]), new Set())
}

const reading: FeedCase[] = [
  {
    name: 'a partition that was never created does not exist; created, it has what was published before',
    async play(rig) {
      const feed = await rig.open('first')
      equal(await feed.exists(0), false)
      deepEqual(await rig.publisher.publish([eventOf(1)]), new Set())
      equal(await feed.exists(0), false)
      equal(await feed.create(0), true)
      equal(await feed.create(0), true)
      equal(await feed.exists(0), true)
      deepEqual(seqsIn((await feed.read([0], ALL)).entries), [1])
    },
  },
  {
    name: 'events are read once, in the order in which they were published, each in its partition, to the letter',
    async play(rig) {
      const feed = await opened(rig)
      const events = upTo(200).map((seq) => eventOf(seq, seq % 2, `{"n": ${seq}, "text":"é \\u0000"}`))
      deepEqual(await rig.publisher.publish(events), new Set())
      const { entries, strays, interrupted } = await feed.read([0, 1, 2], ALL)
      deepEqual([strays, interrupted], [[], false])
      for (const partition of [0, 1]) {
        const texts = entries.filter((entry) => entry.partition === partition).flatMap(({ text }) => unpackEntry(text!))
        deepEqual(
          texts.map((text) => decodeEvent(text).payload),
          events.filter((event) => event.partition === partition).map(({ payload }) => payload),
        )
      }
      deepEqual((await feed.read([0, 1, 2], ALL)).entries, [])
    },
  },
  {
    name: 'publishing at the same time loses nothing, and gives every entry an id of its own',
    async play(rig) {
      const feed = await opened(rig)
      const results = await Promise.all(upTo(20).map((seq) => rig.publisher.publish([eventOf(seq)])))
      deepEqual(
        results,
        upTo(20).map(() => new Set()),
      )
      const { entries } = await feed.read([0], ALL)
      deepEqual(
        seqsIn(entries).sort((a, b) => a - b),
        upTo(20),
      )
      equal(new Set(entries.map(({ id }) => id)).size, 20)
    },
  },
  {
    name: 'a read brings at most the entries that were asked for of each partition',
    async play(rig) {
      const feed = await opened(rig)
      await publishSingly(
        rig,
        upTo(6).map((seq) => eventOf(seq, seq % 2)),
      )
      deepEqual(seqsIn((await feed.read([0, 1], { count: 2, blockMs: 0 })).entries).sort(), [0, 1, 2, 3])
      deepEqual(seqsIn((await feed.read([0, 1], { count: 2, blockMs: 0 })).entries).sort(), [4, 5])
    },
  },
  {
    name: 'a read waits for the first entry',
    async play(rig) {
      const feed = await opened(rig)
      const read = feed.read([0, 1], { count: 10, blockMs: 2_000 })
      await rig.publisher.publish([eventOf(1, 1)])
      deepEqual(seqsIn((await read).entries), [1])
    },
  },
  {
    name: 'a read that nothing comes for ends after its time, and earlier when it is woken',
    async play(rig) {
      const feed = await opened(rig)
      deepEqual((await feed.read([0], { count: 10, blockMs: 20 })).entries, [])
      let ended = false
      const read = feed.read([0], { count: 10, blockMs: 600_000 }).finally(() => {
        ended = true
      })
      await rig.untilWaiting()
      feed.wake()
      // Shorter than any feed may wait by itself.
      await until('the read is woken', () => ended, 1_500)
      deepEqual((await read).entries, [])
      await rig.publisher.publish([eventOf(7)])
      deepEqual(seqsIn((await feed.read([0], ALL)).entries), [7])
    },
  },
  {
    name: 'the next unread entry is known without reading it',
    async play(rig) {
      const feed = await opened(rig)
      deepEqual(await feed.firstUnread([0, 1]), new Map())
      await publishSingly(rig, [eventOf(1), eventOf(2)])
      await feed.read([0], { count: 1, blockMs: 0 })
      const first = await feed.firstUnread([0, 1])
      deepEqual([...first.keys()], [0])
      deepEqual(seqsIn([first.get(0)!]), [2])
      deepEqual(seqsIn((await feed.read([0], ALL)).entries), [2])
    },
  },
  {
    name: 'an entry that this installation did not write has no text, and can be acknowledged',
    async play(rig) {
      const feed = await opened(rig)
      await rig.addForeign(0)
      await publishSingly(rig, [eventOf(1)])
      const { entries } = await feed.read([0], ALL)
      deepEqual(
        entries.map(({ text }) => text === undefined),
        [true, false],
      )
      await feed.acknowledge(entries)
      equal((await rig.monitor.lag(RIG_PARTITIONS)).partitions[0]!.length, 0)
    },
  },
]

const owning: FeedCase[] = [
  {
    name: 'entries that were read and not acknowledged are claimed by the next owner, in order, until it has acknowledged them',
    async play(rig) {
      const first = await opened(rig)
      const events = upTo(250).map((seq) => eventOf(seq))
      await publishSingly(rig, events)
      await first.read([0], ALL)
      await first.close()
      const second = await rig.open('second')
      const entries = await claimed(second)
      deepEqual(seqsIn(entries), upTo(250))
      await second.acknowledge(entries)
      deepEqual(await claimed(await rig.open('third')), [])
    },
  },
  {
    name: 'an owner claims what it has read itself',
    async play(rig) {
      const feed = await opened(rig)
      await publishSingly(rig, [eventOf(1), eventOf(2)])
      const { entries } = await feed.read([0], ALL)
      await feed.acknowledge([entries[0]!])
      deepEqual(seqsIn(await claimed(feed)), [2])
    },
  },
  {
    name: 'entries acknowledged out of order, and twice: the next owner claims the others',
    async play(rig) {
      const first = await opened(rig)
      await publishSingly(
        rig,
        upTo(4).map((seq) => eventOf(seq)),
      )
      const { entries } = await first.read([0], ALL)
      await first.acknowledge([entries[3]!, entries[1]!])
      await first.acknowledge([entries[1]!])
      await first.close()
      deepEqual(seqsIn(await claimed(await rig.open('second'))), [0, 2])
    },
  },
  {
    name: 'an acknowledged entry is gone; of several partitions in one go',
    async play(rig) {
      const feed = await opened(rig)
      await publishSingly(
        rig,
        upTo(4).map((seq) => eventOf(seq, seq % 2)),
      )
      const { entries } = await feed.read([0, 1], ALL)
      await feed.acknowledge(entries)
      await feed.acknowledge([])
      const { partitions } = await rig.monitor.lag(RIG_PARTITIONS)
      deepEqual(
        partitions.map(({ length, pending }) => [length, pending]),
        upTo(RIG_PARTITIONS).map(() => [0, 0]),
      )
      deepEqual([await claimed(feed, 0), await claimed(feed, 1)], [[], []])
    },
  },
  {
    name: 'a former owner that goes on reading is noticed, and what it took can be claimed',
    async play(rig) {
      const former = await opened(rig, 'former')
      const owner = await rig.open('owner')
      await publishSingly(rig, [eventOf(1), eventOf(2), eventOf(3)])
      deepEqual(seqsIn((await former.read([0], { count: 1, blockMs: 0 })).entries), [1])
      const { entries, strays } = await owner.read([0, 1], ALL)
      // Either the feed gives the entry to its owner, or it says that someone else has it.
      if (strays.length === 0) deepEqual(seqsIn(entries), [1, 2, 3])
      else deepEqual([seqsIn(entries), strays], [[2, 3], [0]])
      deepEqual(seqsIn(await claimed(owner)), [1, 2, 3])
      deepEqual((await owner.read([0, 1], ALL)).strays, [])
    },
  },
  {
    name: 'entries up to an id are removed, read or not, and those after it stay',
    async play(rig) {
      const feed = await opened(rig)
      await publishSingly(rig, [eventOf(1), eventOf(2)])
      await feed.read([0], { count: 1, blockMs: 0 })
      const upToId = await feed.lastId(0)
      await publishSingly(rig, [eventOf(3)])
      await feed.removeUpTo(0, upToId)
      deepEqual(await claimed(feed), [])
      deepEqual(seqsIn((await feed.read([0], ALL)).entries), [3])
    },
  },
  {
    name: 'a thousand entries are claimed, and removed, in order and in groups of limited size',
    async play(rig) {
      const feed = await opened(rig)
      // Some events an entry, so that there are many entries after few requests.
      for (const n of upTo(20)) {
        const events = upTo(50).map((i) => eventOf(50 * n + i, 0, JSON.stringify({ text: 'x'.repeat(60_000) })))
        deepEqual(await rig.publisher.publish(events), new Set())
      }
      await feed.read([0], { count: 2_000, blockMs: 0 })
      const seqs: number[] = []
      for await (const entries of feed.claim(0)) {
        ok(entries.length <= 200, 'a group has at most 200 entries')
        seqs.push(...seqsIn(entries))
      }
      deepEqual(seqs, upTo(1_000))
      await feed.removeUpTo(0, await feed.lastId(0))
      equal((await rig.monitor.lag(RIG_PARTITIONS)).partitions[0]!.length, 0)
    },
  },
  {
    name: 'an empty partition has a last id, and the first entry is later',
    async play(rig) {
      const feed = await opened(rig)
      const before = await feed.lastId(0)
      await publishSingly(rig, [eventOf(1)])
      const { entries } = await feed.read([0], ALL)
      ok(feed.isLater(entries[0]!.id, before))
    },
  },
  {
    name: 'ids tell which entry is later, also once the entries are gone',
    async play(rig) {
      const feed = await opened(rig)
      await publishSingly(
        rig,
        upTo(12).map((seq) => eventOf(seq)),
      )
      const { entries } = await feed.read([0], ALL)
      for (const [a, { id }] of entries.entries())
        for (const [b, other] of entries.entries()) equal(feed.isLater(id, other.id), a > b)
      await feed.acknowledge(entries)
      equal(await feed.lastId(0), entries.at(-1)!.id)
    },
  },
  {
    name: 'a partition that was released is read on by another',
    async play(rig) {
      const first = await opened(rig)
      await publishSingly(rig, [eventOf(1)])
      await first.acknowledge((await first.read([0], ALL)).entries)
      await first.release(0)
      const second = await rig.open('second')
      await publishSingly(rig, [eventOf(2)])
      deepEqual(seqsIn((await second.read([0], ALL)).entries), [2])
    },
  },
]

const failing: FeedCase[] = [
  {
    name: 'the identity is the same for all who ask, and another one after the server was replaced, which is an interruption',
    async play(rig) {
      const first = await opened(rig)
      const told = interruptionsOf(first)
      const identity = await first.identity(0)
      ok(identity !== null)
      equal(await (await rig.open('second')).identity(1), identity)
      equal((await rig.monitor.lag(RIG_PARTITIONS)).identity, identity)
      deepEqual(told, [])
      await rig.replaceServer()
      await until('the feed is there again', () => first.isReady())
      const after = await until('the feed answers again', () => first.identity(0).catch(() => undefined))
      ok(after !== identity)
      ok(told.length > 0)
      equal(await first.exists(0), false)
      await rejects(first.read([0], ALL))
    },
  },
  {
    name: 'a read that waits when its connection breaks is interrupted, and that is told',
    async play(rig) {
      const feed = await opened(rig)
      const told = interruptionsOf(feed)
      await feed.read([0], ALL)
      deepEqual(told, [])
      const read = feed.read([0], { count: 10, blockMs: 2_000 }).catch(() => undefined)
      await rig.untilWaiting()
      await rig.breakConnections()
      const reading = await read
      ok(reading === undefined || reading.interrupted, 'a read across an interruption says so, or rejects')
      ok(told.length > 0)
      await until('the feed is there again', () => feed.isReady())
      await publishSingly(rig, [eventOf(1)])
      const again = await until('it is read, or claimed', async () => {
        const { entries, strays } = await feed.read([0], ALL).catch(() => ({ entries: [], strays: [] }))
        const all = strays.length > 0 ? await claimed(feed) : entries
        return all.length > 0 && all
      })
      deepEqual(seqsIn(again), [1])
    },
  },
  {
    name: 'an entry that was read before the connection broke is claimed after it',
    async play(rig) {
      const feed = await opened(rig)
      await publishSingly(rig, [eventOf(1)])
      await feed.read([0], ALL)
      await rig.breakConnections()
      await until('the feed is there again', () => feed.isReady())
      const entries = await until('it can be claimed', () => claimed(feed).catch(() => undefined))
      deepEqual(seqsIn(entries), [1])
    },
  },
  {
    name: 'while the server is away nothing is published, which is no error, and the feed is not ready',
    async play(rig) {
      const feed = await opened(rig)
      const bringBack = await rig.takeAway()
      await until('the feed notices', async () => {
        await feed.identity(0).catch(() => {})
        return !feed.isReady()
      })
      deepEqual(await rig.publisher.publish([eventOf(1), eventOf(2, 1)]), new Set([0, 1]))
      await rejects(feed.read([0], ALL))
      await bringBack()
      await until('the feed is there again', () => feed.isReady())
      await publishSingly(rig, [eventOf(3)])
      deepEqual(seqsIn((await feed.read([0], ALL)).entries), [3])
    },
  },
  {
    name: 'the lag counts entries, pending ones, and how long the first unread one waits',
    async play(rig) {
      const feed = await opened(rig)
      await rig.monitor.ping()
      await publishSingly(rig, [eventOf(1), eventOf(2), eventOf(3, 1)])
      await feed.read([0], { count: 1, blockMs: 0 })
      await until('some time has passed', async () => {
        const { partitions } = await rig.monitor.lag(RIG_PARTITIONS)
        return partitions[1]!.waitingSeconds > 0 && partitions[0]!.waitingSeconds > 0
      })
      const { partitions } = await rig.monitor.lag(RIG_PARTITIONS)
      deepEqual(
        partitions.map(({ partition, length, pending, exists }) => [partition, length, pending, exists]),
        [
          [0, 2, 1, true],
          [1, 1, 0, true],
          [2, 0, 0, true],
        ],
      )
      equal(partitions[2]!.waitingSeconds, 0)
    },
  },
  {
    name: 'the lag tells which partitions do not exist',
    async play(rig) {
      const feed = await rig.open('first')
      await feed.create(1)
      const { partitions } = await rig.monitor.lag(RIG_PARTITIONS)
      deepEqual(
        partitions.map(({ exists }) => exists),
        [false, true, false],
      )
    },
  },
]

/** The cases, in a good order for a new implementation. */
export const FEED_CASES: readonly FeedCase[] = [...reading, ...owning, ...failing]
