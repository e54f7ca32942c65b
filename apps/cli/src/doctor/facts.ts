/** The facts that the doctor checks, gathered once; the checks are pure functions of them. */
import { statfs } from 'node:fs/promises'
import { decodeEvent, identityOf, unpackEntry } from '@eventflow/core'
import {
  compareMigrations,
  type Db,
  findMissingIndexes,
  findRawEvents,
  type GroupState,
  inspectServer,
  type KnownWorker,
  listGroupsInCode,
  type MissingIndex,
  type Ownership,
  type Reach,
  readClock,
  readEntryKey,
  readFigures,
  readOwnership,
  readReach,
  readStateFigures,
  readWorkers,
  type ServerFacts,
  type StatefulGroup,
  type ToldFigures,
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

/** How many seconds a clock is ahead of this host's, and the uncertainty of that. */
export interface Clock {
  ahead: number
  give: number
}

/** The disk with a server's data, if this host can see it. */
export interface Disk {
  free: number
  size: number
}

export interface PostgresFacts extends ServerFacts {
  clock: Clock
  disk: Disk | undefined
  migrations: { missing: string[]; unknown: string[] }
  /** Undefined if migrations are missing: there is nothing to check yet. */
  tables:
    | {
        missingIndexes: MissingIndex[]
        ownership: Ownership
        workers: KnownWorker[]
        reach: Reach | undefined
        groups: GroupState[]
        /** The windows and joins among them. */
        stateful: StatefulGroup[]
        figures: ToldFigures[]
      }
    | undefined
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
          reach: await readReach(db),
          groups: await listGroupsInCode(db),
          stateful: await readStateFigures(db),
          figures: await readFigures(db),
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
 * Resolves with the streams whose oldest or newest entry was not sealed for this database, or has an event that it did
 * not accept. An event is committed before it is added to a stream, and is removed from Postgres only long after it was
 * settled. So such an event belongs to another database, or to this one before it was restored from a backup. After a
 * restore the newest entries are unknown, while the oldest may be known.
 */
export async function findStrangers(db: Db, streams: readonly StreamFacts[]): Promise<string[]> {
  const seal = createSeal((await readEntryKey(db)).secret)
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

/** The first event of an entry. An undecodable one is left to the worker. */
function decode(text: string) {
  try {
    return decodeEvent(unpackEntry(text)[0]!).event
  } catch {
    return undefined
  }
}

/** Asks several times, and uses the fastest answer. */
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

/** A folder that does not exist or is not readable here belongs to another host. */
async function diskOf(path: string | undefined): Promise<Disk | undefined> {
  const disk = path ? await statfs(path).catch(() => undefined) : undefined
  return disk && { free: disk.bavail * disk.bsize, size: disk.blocks * disk.bsize }
}
