/**
 * The feed: how accepted events get from ingest to the engine of a worker. Postgres has every event; a feed only
 * delivers them sooner than a look at the table would, and may lose any of them. Redis Streams are one feed.
 *
 * Events travel in entries, which a feed keeps in order within each partition. An entry that was read and not
 * acknowledged is *pending*; the next owner of the partition claims it.
 */
import type { RawEvent } from './event.js'

/** The name of the consumer group in which all workers read. */
export const CONSUMER_GROUP = 'eventflow'

/** Where an entry stands in the feed of its partition; only the feed can compare two of them. */
export type EntryId = string

/** An entry as it was read. */
export interface Entry {
  partition: number
  id: EntryId
  /**
   * The packed events (see `unpackEntry`); missing where the entry was not written by this installation, or is gone.
   */
  text: string | undefined
}

/** Adds accepted events to a feed. */
export interface Publisher {
  /**
   * Publishes events in the given order: those of one partition all together or not at all. Resolves with the
   * partitions for which it is not certain that the feed has every event. Never rejects.
   */
  publish(events: readonly RawEvent[]): Promise<Set<number>>
}

/** What a read brought. */
export interface Reading {
  /** Entries that no consumer had been given, in order within each partition. */
  entries: Entry[]
  /** Partitions in which another consumer has pending entries: a former owner went on reading. */
  strays: number[]
  /** The feed may have lost entries during the read: what it brought must not be used. */
  interrupted: boolean
}

/**
 * The feed as one lane of a worker reads it. Rejections mean that the feed is away or has lost a partition: the lane
 * begins its partitions again. After an interruption anything may be missing from the partitions it names.
 */
export interface Feed {
  /** Whether the feed can be asked now. */
  isReady(): boolean
  /** Calls `tell` at each interruption: from then on entries may be missing from these partitions. */
  onInterrupted(tell: (partitions: readonly number[] | 'all') => void): void
  /**
   * What tells this feed from one that replaced it and may lack entries: a restart or a failover changes it. `null`
   * where it cannot be told; then the feed is not trusted.
   */
  identity(partition: number): Promise<string | null>
  /**
   * Whether the feed of a partition exists. One that does not exist was never read, or was lost. `undefined` where the
   * feed refuses to say.
   */
  exists(partition: number): Promise<boolean | undefined>
  /** Creates the feed of a partition, from its first entry on. Resolves with false where the feed refuses. */
  create(partition: number): Promise<boolean>
  /** The id of the newest entry the partition ever had. */
  lastId(partition: number): Promise<EntryId>
  /** Whether entry `a` was added after entry `b`. */
  isLater(a: EntryId, b: EntryId): boolean
  /**
   * Takes over the pending entries of a partition, in order, in groups of limited size; ends early after an
   * interruption. For the owner of the partition only: the fence keeps the former consumer from settling them.
   */
  claim(partition: number): AsyncIterable<Entry[]>
  /**
   * Reads new entries, at most `count` of each partition; waits up to `blockMs` for the first. Resolves without any
   * after `wake`.
   */
  read(partitions: readonly number[], options: { count: number; blockMs: number }): Promise<Reading>
  /** Ends the wait of a read. */
  wake(): void
  /** The next entry that a read would bring, in each partition that has one. */
  firstUnread(partitions: readonly number[]): Promise<Map<number, Entry>>
  /** Removes settled entries: both forgotten as pending and deleted, or neither. */
  acknowledge(entries: readonly Pick<Entry, 'partition' | 'id'>[]): Promise<void>
  /** Removes all entries up to an id, read or not: their events must be settled, or in `retries`. */
  removeUpTo(partition: number, id: EntryId): Promise<void>
  /** The lane no longer owns the partition. */
  release(partition: number): Promise<void>
  /** Closes what the feed opened. */
  close(): Promise<void>
}

/** How far the workers are behind in each partition of a feed. */
export interface FeedLag {
  /** See `Feed.identity`; the same for all partitions. */
  identity: string | null
  partitions: {
    partition: number
    /** Entries in the feed, read or not: settled ones are removed. */
    length: number
    /** Entries that were read and not yet acknowledged. */
    pending: number
    /** Seconds since the first unread entry was added, by the feed's clock; 0 where there is none. */
    waitingSeconds: number
    /** See `Feed.exists`. */
    exists: boolean
  }[]
}

/** A feed as monitoring sees it. Both reject while it is away. */
export interface FeedMonitor {
  lag(partitions: number): Promise<FeedLag>
  ping(): Promise<unknown>
}
