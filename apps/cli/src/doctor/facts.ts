/** What the doctor looks at, gathered once; the checks are pure functions of it. */
import { statfs } from 'node:fs/promises'
import { decodeEvent, identityOf, unpackEntry } from '@eventflow/core'
import {
  compareMigrations,
  type Db,
  findMissingIndexes,
  findRawEvents,
  inspectServer,
  type KnownWorker,
  type MissingIndex,
  type Ownership,
  readClock,
  readEntrySecret,
  readOwnership,
  readWorkers,
  type ServerFacts,
} from '@eventflow/db'
import {
  createSeal,
  inspectRedis,
  inspectStreams,
  type Redis,
  type RedisFacts,
  readRedisClock,
  type StreamFacts,
} from '@eventflow/redis'

/** How far a clock is ahead of this host's, and by how much that may be wrong, in seconds. */
export interface Clock {
  ahead: number
  give: number
}

/** The disk that a server's data is on, if this host can see it. */
export interface Disk {
  free: number
  size: number
}

export interface PostgresFacts extends ServerFacts {
  clock: Clock
  disk: Disk | undefined
  migrations: { missing: string[]; unknown: string[] }
  /** Missing where migrations are: there is nothing to look at yet. */
  tables: { missingIndexes: MissingIndex[]; ownership: Ownership; workers: KnownWorker[] } | undefined
}

export async function gatherPostgres(db: Db): Promise<PostgresFacts> {
  const server = await inspectServer(db)
  const migrations = await compareMigrations(db)
  const tables =
    migrations.missing.length > 0
      ? undefined
      : {
          missingIndexes: await findMissingIndexes(db),
          ownership: await readOwnership(db),
          workers: await readWorkers(db),
        }
  const clock = await compareClocks(() => readClock(db))
  return { ...server, clock, disk: await diskOf(server.dataDirectory), migrations, tables }
}

export interface RedisAndStreams extends RedisFacts {
  clock: Clock
  disk: Disk | undefined
  streams: StreamFacts[]
}

export async function gatherRedis(redis: Redis, prefix: string, partitions: number): Promise<RedisAndStreams> {
  const server = await inspectRedis(redis)
  return {
    ...server,
    clock: await compareClocks(() => readRedisClock(redis)),
    disk: await diskOf(server.directory),
    streams: await inspectStreams(redis, prefix, partitions),
  }
}

/**
 * Streams whose oldest or newest entry was not sealed for this database, or is no event that it has accepted. An event
 * is committed before it is added, and is removed from Postgres only when it has long been settled: it must be another
 * database's, or this one's from before it was restored from a backup. After a restore the newest entries are unknown,
 * while the oldest may be known.
 */
export async function findStrangers(db: Db, streams: readonly StreamFacts[]): Promise<string[]> {
  const seal = createSeal(await readEntrySecret(db))
  const ends = streams.flatMap(({ key, first, last }) =>
    [first, last].flatMap((entry) => (entry ? [{ key, text: seal.open(key, entry.text ?? '') }] : [])),
  )
  const unsealed = ends.filter(({ text }) => text === undefined)
  const events = ends.flatMap(({ key, text }) => {
    const event = text === undefined ? undefined : decode(text)
    return event ? [{ key, event }] : []
  })
  const known = await findRawEvents(
    db,
    events.map(({ event }) => event),
  )
  const unknown = events.filter(({ event }) => !known.has(identityOf(event)))
  return [...new Set([...unsealed, ...unknown].map(({ key }) => key))]
}

/** The first event of an entry. What cannot be decoded is for a worker to judge. */
function decode(text: string) {
  try {
    return decodeEvent(unpackEntry(text)[0]!).event
  } catch {
    return undefined
  }
}

/** Asks a few times, and believes the answer that came the quickest. */
async function compareClocks(ask: () => Promise<number>): Promise<Clock> {
  const answers: Clock[] = []
  for (let i = 0; i < 3; i++) {
    const sentAt = Date.now()
    const theirs = await ask()
    const give = (Date.now() - sentAt) / 2
    answers.push({ ahead: (theirs - sentAt - give) / 1_000, give: give / 1_000 })
  }
  return answers.reduce((best, next) => (next.give < best.give ? next : best))
}

/** A folder that this host does not have, or may not look into, is on another one. */
async function diskOf(path: string | undefined): Promise<Disk | undefined> {
  const disk = path ? await statfs(path).catch(() => undefined) : undefined
  return disk && { free: disk.bavail * disk.bsize, size: disk.blocks * disk.bsize }
}
