/** What is wrong now, in words: from what is known of the pipeline to sentences, the worst first. */
import type { KnownWorker, ToldFigures, WaitingKey } from '@eventflow/db'
import type { PipelineLag } from '@eventflow/monitor'
import type { Rates } from './rates.js'
import { OBJECTIVE, type Tally } from './recent.js'

/**
 * The one judgement of how the pipeline is: pages colour by it, and nothing is wrong only where there is none. What an alert
 * is raised for by default, of Prometheus or of `apps/alerts`, is one here too, at once and at the same level.
 */
export interface Trouble {
  /**
   * `bad`: nothing gets on, or soon will not. `warn`: something waits, fails or misses the objective. `info`: it is being
   * dealt with, or can wait. As the alerts' `critical`, `warning` and `info`.
   */
  level: 'bad' | 'warn' | 'info'
  text: string
  /** The figure that says the same in numbers. */
  figure?: 'in' | 'oldest' | 'failed' | 'dead' | 'owner'
  /** What it is about, for whoever wants to see more. */
  about?: { partition?: number; key?: string; event?: string; worker?: string; page?: string }
}

/** Everything that is looked at. `undefined` or `null`: it could not be read. */
export interface Known {
  lag: PipelineLag | undefined
  workers: readonly KnownWorker[] | undefined
  figures: readonly ToldFigures[] | undefined
  waiting: readonly WaitingKey[] | undefined
  /** Dead letters that wait for a decision. */
  dead: number | null
  rates: Rates
  /** Of the last five minutes. */
  recent: Tally
  /** For how long nothing has ended although there was something to do. */
  stalledSeconds: number
  /** Attempts in all, by type. */
  attemptsOf: (type: string) => number
  now: number
}

/** Events may wait so long for a worker before it is told, in seconds. */
const SLOW_AFTER_S = 15

/** An event without an end is stuck when it is so old, in seconds. */
const STUCK_AFTER_S = 900

/** Nothing may be settled for so long while there is something to do, in seconds. */
const STALLED_AFTER_S = 60

/** A key may wait for so long before it is told, in seconds: most first retries are over by then. */
const WAITING_AFTER_S = 5

/** So many dead letters of five minutes are told, however small their share. */
const MANY_DEAD = 100

/** Of what arrives, so much may be turned away before producers are no longer served. */
const REFUSED_SHARE = 0.01

const SHOWN_KEYS = 5

const LEVELS: Trouble['level'][] = ['bad', 'warn', 'info']

/** What is wrong, the worst first. */
export function findTroubles(known: Known): Trouble[] {
  const { lag, workers = [], figures = [] } = known
  if (!lag) return [{ level: 'bad', text: 'Postgres does not answer: no event is accepted or settled until it does.' }]
  const troubles = [
    ...unreadTroubles(known),
    ...redisTroubles(lag),
    ...workerTroubles(lag, workers),
    ...circuitTroubles(figures),
    ...keyTroubles(known),
    ...partitionTroubles(lag),
    ...stalledTroubles(lag, known.stalledSeconds),
    ...rateTroubles(known),
    ...deadTroubles(known),
  ]
  return troubles.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level))
}

/** What is not known cannot be well. */
function unreadTroubles({ workers, figures, waiting, dead }: Known): Trouble[] {
  const unread = [
    ...(workers ? [] : ['workers']),
    ...(figures ? [] : ['counters']),
    ...(waiting ? [] : ['blocked keys']),
    ...(dead === null ? ['dead letters'] : []),
  ]
  return unread.length > 0
    ? [{ level: 'warn', text: `Postgres did not answer in time; not known: ${unread.join(', ')}.` }]
    : []
}

function redisTroubles({ redisError }: PipelineLag): Trouble[] {
  if (redisError === null) return []
  const text = 'Redis does not answer: workers read events from Postgres, which is slower.'
  return [{ level: 'warn', text }]
}

function workerTroubles(lag: PipelineLag, workers: readonly KnownWorker[]): Trouble[] {
  if (lag.workers.length === 0) {
    const text = 'No worker is running: events are accepted but not settled.'
    return [{ level: 'bad', text, figure: 'owner' }]
  }
  const free = lag.partitions.filter(({ owner }) => owner === null)
  // A partition whose owner was killed is free until its lease has run out.
  const left = free.some(({ oldestUnsettledAgeSeconds }) => oldestUnsettledAgeSeconds > OBJECTIVE.withinSeconds)
  const dead = workers.filter(
    ({ alive, partitions, silentSeconds }) => !alive && (partitions.length > 0 || silentSeconds < 120),
  )
  const shared = workers.filter(({ rival }) => rival !== null)
  return [
    ...shared.map(({ id, rival }): Trouble => {
      const text = `Two workers have the id ${id}; the one on ${rival!.host} (process ${rival!.pid}) is idle.`
      return { level: 'warn', text, about: { worker: id } }
    }),
    ...dead.map(({ id, silentSeconds }): Trouble => {
      const text = `Worker ${id} has sent no heartbeat for ${inWords(silentSeconds)}.`
      return { level: 'warn', text, about: { worker: id } }
    }),
    ...(free.length > 0
      ? [
          {
            level: left ? 'bad' : 'warn',
            text: `${countOf(free.length, 'partition')} without an owner: ${listOf(free.map(({ partition }) => partition))}.`,
            figure: 'owner',
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
    level: 'warn',
    text: `${dependency} is down, reported by ${listOf(processes)}: events that need it wait and use up no attempts.`,
  }))
}

/** "Partition 7 has been waiting 42 s for key DFW: attempt 2 of 4 failed, the next is due at 12:01:07: airports timed out." */
function keyTroubles({ waiting = [], attemptsOf, now }: Known): Trouble[] {
  const waitedFor = (key: WaitingKey) => (now - waitingSince(key)) / 1_000
  const long = waiting.filter((key) => key.attempts > 0 && waitedFor(key) > WAITING_AFTER_S)
  const shown = long.slice(0, SHOWN_KEYS).map((head): Trouble => {
    const { id, type, key, partition, attempts, dueAt, history } = head
    const last = history.at(-1)
    const when = dueAt.getTime() > now ? `the next is due at ${timeOf(dueAt)} UTC` : 'the next is running'
    const why = last ? `: ${last.message}` : ''
    const text = `Key ${key} (partition ${partition}) has been blocked for ${inWords(waitedFor(head))}: attempt ${attempts} of ${attemptsOf(type)} failed, ${when}${why}`
    return { level: 'warn', text, about: { partition, key, event: id } }
  })
  const more = long.length - shown.length
  return more > 0
    ? [...shown, { level: 'warn', text: `${more} more keys are blocked.`, about: { page: 'partitions' } }]
    : shown
}

/** When the event was accepted, or sent on its way again, in milliseconds since 1970. */
export function waitingSince({ acceptedAt, history }: Pick<WaitingKey, 'acceptedAt' | 'history'>): number {
  const replayed = history.findLast(({ attempt }) => attempt === 0)
  return replayed ? Date.parse(replayed.at) : acceptedAt.getTime()
}

function partitionTroubles({ partitions, oldestUnsettledAgeSeconds, unsettled }: PipelineLag): Trouble[] {
  const behind = partitions.filter(({ source, unsettled }) => source === 'postgres' && unsettled > 0)
  const slow = mostOf(partitions, ({ lagSeconds }) => lagSeconds)
  const old = mostOf(partitions, (partition) => partition.oldestUnsettledAgeSeconds)
  const level = oldestUnsettledAgeSeconds > STUCK_AFTER_S ? 'bad' : 'warn'
  const late: Trouble[] =
    slow && slow.lagSeconds > SLOW_AFTER_S
      ? [
          {
            level,
            text: `Partition ${slow.partition} lags ${inWords(slow.lagSeconds)} behind; unsettled events in all partitions: ${count(unsettled)}.`,
            figure: 'oldest',
            about: { partition: slow.partition },
          },
        ]
      : old && old.oldestUnsettledAgeSeconds > OBJECTIVE.withinSeconds
        ? [
            {
              level,
              text: `An event of partition ${old.partition} is still unsettled after ${inWords(old.oldestUnsettledAgeSeconds)}; the objective is ${OBJECTIVE.withinSeconds} s.`,
              figure: 'oldest',
              about: { partition: old.partition },
            },
          ]
        : []
  return [
    ...late,
    ...(behind.length > 0
      ? [
          {
            level: 'info',
            text: `${countOf(behind.length, 'partition')} catching up from Postgres (${count(behind.reduce((sum, p) => sum + p.unsettled, 0))} events left): ${listOf(behind.map(({ partition }) => partition))}.`,
            about: { page: 'partitions' },
          } as const,
        ]
      : []),
  ]
}

const mostOf = (partitions: PipelineLag['partitions'], of: (partition: PipelineLag['partitions'][number]) => number) =>
  partitions.reduce((a, b) => (of(b) > of(a) ? b : a), partitions[0]!)

/** What waits for another attempt, or behind one, waits for a reason; without a worker that is said already. */
function stalledTroubles({ retrying, unsettled, workers }: PipelineLag, stalledSeconds: number): Trouble[] {
  if (stalledSeconds <= STALLED_AFTER_S || retrying > 0 || unsettled === 0 || workers.length === 0) return []
  const text = `No event has been settled for ${inWords(stalledSeconds)}, although ${count(unsettled)} ${unsettled === 1 ? 'is' : 'are'} unsettled.`
  return [{ level: 'bad', text, figure: 'oldest' }]
}

/** The last five minutes against the objective. */
function rateTroubles({ rates, recent }: Known): Trouble[] {
  const { arrived, turnedAway, ended, failed, late } = recent
  const refused = turnedAway / Math.max(1, arrived)
  return [
    ...(rates.turnedAway > 0 || refused > OBJECTIVE.share
      ? [
          {
            level: refused > REFUSED_SHARE ? 'bad' : 'warn',
            text: `${shareOf(turnedAway, arrived)} of the events of the last 5 minutes were refused with 503 (${count(turnedAway)} of ${count(arrived)}): too many were in flight, or Postgres did not answer.`,
            figure: 'in',
          } as const,
        ]
      : []),
    ...(failed > OBJECTIVE.share * ended || failed > MANY_DEAD
      ? [
          {
            level: 'warn',
            text: `${shareOf(failed, ended)} of the events settled in the last 5 minutes failed (${count(failed)} of ${count(ended)}); the limits are ${shareOf(OBJECTIVE.share, 1)} and ${MANY_DEAD} events.`,
            figure: 'failed',
            about: { page: 'dead-letters' },
          } as const,
        ]
      : []),
    ...(late > OBJECTIVE.share * ended
      ? [
          {
            level: 'warn',
            text: `${shareOf(late, ended)} of the events settled in the last 5 minutes took longer than ${OBJECTIVE.withinSeconds} s (${count(late)} of ${count(ended)}); the objective allows ${shareOf(OBJECTIVE.share, 1)}.`,
          } as const,
        ]
      : []),
  ]
}

function deadTroubles({ dead }: Known): Trouble[] {
  if (!dead) return []
  const text = `${count(dead)} open dead ${dead === 1 ? 'letter: replay or discard it' : 'letters: replay or discard them'}.`
  return [{ level: 'info', text, figure: 'dead', about: { page: 'dead-letters' } }]
}

const count = (value: number) => value.toLocaleString('en')

/** As the console writes shares. */
function shareOf(part: number, all: number): string {
  const share = (100 * part) / Math.max(all, part, 1)
  if (share > 0 && share < 0.1) return '<0.1 %'
  return `${share.toLocaleString('en', { maximumFractionDigits: share < 10 ? 1 : 0 })} %`
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
