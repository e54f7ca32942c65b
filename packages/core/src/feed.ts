/**
 * The feed: how accepted events get from ingest to the engine of a worker. Postgres has every event; a feed only
 * delivers them sooner than a query would, and may lose any of them. Redis Streams are one feed.
 *
 * Events travel in entries, which a feed keeps in order within each partition. An entry that was read and not
 * acknowledged is *pending*; the next owner of the partition claims it.
 */
import type { RawEvent } from './event.js'

/** The name of the consumer group of all workers. */
export const CONSUMER_GROUP = 'eventflow'

/** The place of an entry in the feed of its partition; only the feed can compare two of them. */
export type EntryId = string

/** An entry as read. */
export interface Entry {
  partition: number
  id: EntryId
  /** The packed events (see `unpackEntry`); missing if the entry was not written by this installation, or is gone. */
  text: string | undefined
}

/** Adds accepted events to a feed. */
export interface Publisher {
  /**
   * Publishes events in the given order: those of one partition all together or not at all. Resolves with the
   * partitions whose events the feed may lack. Never rejects.
   */
  publish(events: readonly RawEvent[]): Promise<Set<number>>
}

/** The result of a read. */
export interface Reading {
  /** Entries not delivered to any consumer before, in order within each partition. */
  entries: Entry[]
  /** Partitions in which another consumer has pending entries: a former owner kept reading. */
  strays: number[]
  /** The feed may have lost entries during the read: its result must not be used. */
  interrupted: boolean
}

/**
 * The feed as one lane of a worker reads it. A rejection means that the feed is down or has lost a partition: the lane
 * starts its partitions again. After an interruption entries may be missing from the partitions it names.
 */
export interface Feed {
  /** Whether the feed can be used now. */
  isReady(): boolean
  /** Calls `tell` at each interruption: from then on entries may be missing from these partitions. */
  onInterrupted(tell: (partitions: readonly number[] | 'all') => void): void
  /**
   * Distinguishes this feed from one that replaced it and may lack entries: a restart or a failover changes the
   * identity. `null` if it is unknown; then the feed is not trusted.
   */
  identity(partition: number): Promise<string | null>
  /**
   * Whether the feed of a partition exists. One that does not exist was never read, or was lost. `undefined` if the
   * feed refuses to answer.
   */
  exists(partition: number): Promise<boolean | undefined>
  /** Creates the feed of a partition, starting at its first entry. Resolves with false if the feed refuses. */
  create(partition: number): Promise<boolean>
  /** The id of the newest entry that the partition ever had. */
  lastId(partition: number): Promise<EntryId>
  /** Whether entry `a` was added after entry `b`. */
  isLater(a: EntryId, b: EntryId): boolean
  /**
   * Takes over the pending entries of a partition, in order, in groups of limited size; ends early after an
   * interruption. Only for the owner of the partition: the fence keeps the former consumer from settling them.
   */
  claim(partition: number): AsyncIterable<Entry[]>
  /**
   * Reads new entries, at most `count` of each partition; waits up to `blockMs` for the first. Resolves without any
   * after `wake`.
   */
  read(partitions: readonly number[], options: { count: number; blockMs: number }): Promise<Reading>
  /** Ends the wait of a read. */
  wake(): void
  /** The next entry that a read would return, in each partition that has one. */
  firstUnread(partitions: readonly number[]): Promise<Map<number, Entry>>
  /** Removes settled entries. Those that an error leaves behind are claimed again, or dropped by the claim. */
  acknowledge(entries: readonly Pick<Entry, 'partition' | 'id'>[]): Promise<void>
  /** Removes all entries up to an id, read or not: their events must be settled, or in `retries`. */
  removeUpTo(partition: number, id: EntryId): Promise<void>
  /** Ends the lane's use of a partition; its lease is given back afterwards. A later claim or read may begin again. */
  release(partition: number): Promise<void>
  /** Closes everything that the feed has opened. */
  close(): Promise<void>
}

/** The lag of the workers in each partition of a feed. */
export interface FeedLag {
  /** See `Feed.identity`; the same for all partitions. */
  identity: string | null
  partitions: {
    partition: number
    /** Entries in the feed, read or not: settled ones are removed. */
    length: number
    /** Entries that were read and not yet acknowledged. */
    pending: number
    /** Seconds since the first unread entry was added, by the feed's clock; 0 if there is none. */
    waitingSeconds: number
    /** See `Feed.exists`. */
    exists: boolean
  }[]
}

/** A feed as monitoring sees it. Both methods reject while it is down. */
export interface FeedMonitor {
  lag(partitions: number): Promise<FeedLag>
  ping(): Promise<unknown>
}
