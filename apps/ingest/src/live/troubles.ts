/** What is wrong now, in words: from what is known of the pipeline to sentences, the worst first. */
import type { KnownWorker, ToldFigures, WaitingKey } from '@eventflow/db'
import type { PipelineLag } from '@eventflow/monitor'
import type { Rates } from './rates.js'

export interface Trouble {
  /** `bad`: nothing gets on, or soon will not. `warn`: something waits or fails. `info`: it is being dealt with. */
  level: 'bad' | 'warn' | 'info'
  text: string
  /** What it is about, for whoever wants to see more. */
  about?: { partition?: number; key?: string; event?: string; worker?: string; page?: string }
}

/** Everything that is looked at. `undefined`: it could not be read. */
export interface Known {
  lag: PipelineLag | undefined
  workers: readonly KnownWorker[]
  figures: readonly ToldFigures[]
  waiting: readonly WaitingKey[]
  rates: Rates
  /** Attempts in all, by type. */
  attemptsOf: (type: string) => number
  now: number
}

/** An event may be on its way for so long before anybody is told, in seconds. */
const SLOW_AFTER_S = 15

/** A key may wait for so long before anybody is told, in seconds: most first retries are over by then. */
const WAITING_AFTER_S = 5

/** Of what ends in a second, so much may fail. */
const FAILING_SHARE = 0.05

const SHOWN_KEYS = 5

const LEVELS: Trouble['level'][] = ['bad', 'warn', 'info']

export function findTroubles(known: Known): Trouble[] {
  if (!known.lag)
    return [{ level: 'bad', text: 'Postgres cannot be read: nothing is accepted or settled until it answers.' }]
  const troubles = [
    ...redisTroubles(known.lag),
    ...workerTroubles(known.lag, known.workers),
    ...circuitTroubles(known.figures),
    ...keyTroubles(known),
    ...partitionTroubles(known.lag),
    ...rateTroubles(known.rates),
  ]
  return troubles.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level))
}

function redisTroubles({ redisError }: PipelineLag): Trouble[] {
  if (redisError === null) return []
  const text = 'Redis does not answer: events are worked on from Postgres, more slowly.'
  return [{ level: 'warn', text }]
}

function workerTroubles(lag: PipelineLag, workers: readonly KnownWorker[]): Trouble[] {
  if (lag.workers.length === 0) {
    return [{ level: 'bad', text: 'No worker is alive: events are accepted and stay where they are.' }]
  }
  const free = lag.partitions.filter(({ owner }) => owner === null)
  const dead = workers.filter(
    ({ alive, partitions, silentSeconds }) => !alive && (partitions.length > 0 || silentSeconds < 120),
  )
  const shared = workers.filter(({ rival }) => rival !== null)
  return [
    ...shared.map(({ id, rival }): Trouble => {
      const text = `Two workers use the id ${id}; the one on ${rival!.host} (process ${rival!.pid}) does nothing.`
      return { level: 'warn', text, about: { worker: id } }
    }),
    ...dead.map(({ id, silentSeconds }): Trouble => {
      const text = `Worker ${id} has given no sign of life for ${inWords(silentSeconds)}.`
      return { level: 'warn', text, about: { worker: id } }
    }),
    ...(free.length > 0
      ? [
          {
            level: 'warn',
            text: `${countOf(free.length, 'partition')} without an owner: ${listOf(free.map(({ partition }) => partition))}.`,
          } as const,
        ]
      : []),
  ]
}

function circuitTroubles(figures: readonly ToldFigures[]): Trouble[] {
  const open = new Map<string, string[]>()
  for (const { process, circuits } of figures) {
    for (const dependency of Object.keys(circuits)) open.set(dependency, [...(open.get(dependency) ?? []), process])
  }
  return [...open].map(([dependency, processes]) => ({
    level: 'bad',
    text: `${dependency} is down, as ${listOf(processes)} found: its events wait, and no attempts are spent.`,
  }))
}

/** "Partition 7 has been waiting 42 s for key DFW: attempt 2 of 4 failed, the next is due at 12:01:07: airports timed out." */
function keyTroubles({ waiting, attemptsOf, now }: Known): Trouble[] {
  const waitedFor = (key: WaitingKey) => (now - waitingSince(key)) / 1_000
  const long = waiting.filter((key) => key.attempts > 0 && waitedFor(key) > WAITING_AFTER_S)
  const shown = long.slice(0, SHOWN_KEYS).map((head): Trouble => {
    const { id, type, key, partition, attempts, dueAt, history } = head
    const last = history.at(-1)
    const when = dueAt.getTime() > now ? `the next is due at ${timeOf(dueAt)} UTC` : 'the next is under way'
    const why = last ? `: ${last.message}` : ''
    const text = `Partition ${partition} has been waiting ${inWords(waitedFor(head))} for key ${key}: attempt ${attempts} of ${attemptsOf(type)} failed, ${when}${why}`
    return { level: 'warn', text, about: { partition, key, event: id } }
  })
  const more = long.length - shown.length
  return more > 0
    ? [...shown, { level: 'warn', text: `${more} more keys wait.`, about: { page: 'partitions' } }]
    : shown
}

/** When the event was accepted, or sent on its way again, in milliseconds since 1970. */
export function waitingSince({ acceptedAt, history }: Pick<WaitingKey, 'acceptedAt' | 'history'>): number {
  const replayed = history.findLast(({ attempt }) => attempt === 0)
  return replayed ? Date.parse(replayed.at) : acceptedAt.getTime()
}

function partitionTroubles({ partitions, oldestUnsettledAgeSeconds, unsettled }: PipelineLag): Trouble[] {
  const behind = partitions.filter(({ source, unsettled }) => source === 'postgres' && unsettled > 0)
  const oldest = partitions.reduce((a, b) => (b.lagSeconds > a.lagSeconds ? b : a), partitions[0]!)
  const slow = oldest && oldest.lagSeconds > SLOW_AFTER_S
  return [
    ...(slow
      ? [
          {
            level: oldestUnsettledAgeSeconds > 300 ? 'bad' : 'warn',
            text: `Events wait ${inWords(oldest.lagSeconds)} for their turn in partition ${oldest.partition}; ${unsettled.toLocaleString('en')} are on their way in all.`,
            about: { partition: oldest.partition },
          } as const,
        ]
      : []),
    ...(behind.length > 0
      ? [
          {
            level: 'info',
            text: `${countOf(behind.length, 'partition')} catching up from Postgres, ${behind.reduce((sum, p) => sum + p.unsettled, 0).toLocaleString('en')} events to go: ${listOf(behind.map(({ partition }) => partition))}.`,
            about: { page: 'partitions' },
          } as const,
        ]
      : []),
  ]
}

function rateTroubles({ out, failed, turnedAway }: Rates): Trouble[] {
  const share = failed / Math.max(1, out + failed)
  return [
    ...(turnedAway > 0
      ? [
          {
            level: 'bad',
            text: `${turnedAway} events a second are turned away with 503: too much is in flight, or Postgres is away.`,
          } as const,
        ]
      : []),
    ...(failed >= 1 && share > FAILING_SHARE
      ? [
          {
            level: 'warn',
            text: `${Math.round(share * 100)} % of what ends now are dead letters, ${Math.round(failed)} a second.`,
            about: { page: 'dead-letters' },
          } as const,
        ]
      : []),
  ]
}

const countOf = (count: number, what: string) => `${count} ${what}${count === 1 ? ' is' : 's are'}`

const listOf = (items: readonly (string | number)[]) =>
  items.length > 8 ? `${items.slice(0, 8).join(', ')} and ${items.length - 8} more` : items.join(', ')

const timeOf = (date: Date) => date.toISOString().slice(11, 19)

/** 42 s, 7 min, 3 h, 2 d. */
export function inWords(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}
