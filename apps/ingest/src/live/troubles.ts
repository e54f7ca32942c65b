/**
 * Finds the problems of the pipeline, and describes them in sentences, the worst first. With `groupTroubles`, the only
 * place that judges the state of the pipeline.
 */
import type { GroupState, KnownWorker, StatefulGroup, ToldFigures, WaitingKey } from '@eventflow/db'
import type { PipelineLag } from '@eventflow/monitor'
import { groupTroubles, timeTroubles } from './group-troubles.js'
import type { Lateness } from './late-events.js'
import type { Rates } from './rates.js'
import { OBJECTIVE, type Tally } from './recent.js'
import type { Trouble } from './trouble.js'
import { count, countOf, inWords, listOf } from './words.js'

/** All inputs. `undefined` or `null`: it could not be read. */
export interface Known {
  lag: PipelineLag | undefined
  workers: readonly KnownWorker[] | undefined
  figures: readonly ToldFigures[] | undefined
  waiting: readonly WaitingKey[] | undefined
  /** The consumer groups that are defined in code. */
  groups: readonly GroupState[] | undefined
  /** The windows and joins among them. */
  stateful: readonly StatefulGroup[] | undefined
  /** Of windows and joins, by their names, in the last five minutes. */
  lateOf: ReadonlyMap<string, Lateness>
  /** Open dead letters. */
  dead: number | null
  /** Parts of the ledger beyond the one that takes new events; undefined if unknown. */
  partsAhead: number | undefined
  rates: Rates
  /** The last five minutes. */
  recent: Tally
  /** How long nothing was settled despite a backlog. */
  stalledSeconds: number
  /** The most attempts of a type. */
  attemptsOf: (type: string) => number
  now: number
}

/** How long events may wait for a worker before it is reported, in seconds. */
const SLOW_AFTER_S = 15

/** An unsettled event of this age is stuck, in seconds. */
const STUCK_AFTER_S = 900

/** How long nothing may be settled despite a backlog, in seconds. */
const STALLED_AFTER_S = 60

/** How long a key may be blocked before it is reported, in seconds: most first retries are over by then. */
const WAITING_AFTER_S = 5

/** This many dead letters in five minutes are reported, however small their share. */
const MANY_DEAD = 100

/** The share of events that may be turned away before producers count as not served. */
const REFUSED_SHARE = 0.01

const SHOWN_KEYS = 5

const LEVELS: Trouble['level'][] = ['bad', 'warn', 'info']

/** Returns the problems, the worst first. */
export function findTroubles(known: Known): Trouble[] {
  const { lag, workers = [], figures = [], groups = [], stateful = [] } = known
  if (!lag) return [{ level: 'bad', text: 'Postgres does not answer: no event is accepted or settled until it does.' }]
  const troubles = [
    ...unreadTroubles(known),
    ...partTroubles(known),
    ...redisTroubles(lag),
    ...workerTroubles(lag, workers),
    ...circuitTroubles(figures),
    ...keyTroubles(known),
    ...partitionTroubles(lag),
    ...stalledTroubles(lag, known.stalledSeconds),
    ...rateTroubles(known),
    ...deadTroubles(known),
    ...groupTroubles(groups, lag.workers.length > 0),
    ...timeTroubles(stateful, groups, known.lateOf),
  ]
  return troubles.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level))
}

/** A state that cannot be read counts as a problem. */
function unreadTroubles({ workers, figures, waiting, groups, stateful, dead }: Known): Trouble[] {
  const unread = [
    ...(workers ? [] : ['workers']),
    ...(figures ? [] : ['counters']),
    ...(waiting ? [] : ['blocked keys']),
    ...(dead === null ? ['dead letters'] : []),
    ...(groups ? [] : ['groups']),
    ...(stateful ? [] : ['windows and joins']),
  ]
  return unread.length > 0
    ? [{ level: 'warn', text: `Postgres did not answer in time; not known: ${unread.join(', ')}.` }]
    : []
}

function partTroubles({ partsAhead }: Known): Trouble[] {
  if (partsAhead !== 0) return []
  const text = 'The ledger has no part ahead: when the current one is full, events are refused until there is one.'
  return [{ level: 'bad', text }]
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
  // A partition whose owner was killed is free until the lease has expired.
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

/**
 * "Partition 7 has been waiting 42 s for key DFW: attempt 2 of 4 failed, the next is due at 12:01:07: airports timed
 * out."
 */
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

/** When the event was accepted or replayed, in milliseconds since 1970. */
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

/** Events that await a retry, or are blocked by one, are not stalled; without a worker, another problem says so. */
function stalledTroubles({ retrying, unsettled, workers }: PipelineLag, stalledSeconds: number): Trouble[] {
  if (stalledSeconds <= STALLED_AFTER_S || retrying > 0 || unsettled === 0 || workers.length === 0) return []
  const text = `No event has been settled for ${inWords(stalledSeconds)}, although ${count(unsettled)} ${unsettled === 1 ? 'is' : 'are'} unsettled.`
  return [{ level: 'bad', text, figure: 'oldest' }]
}

/** Compares the last five minutes with the objective. */
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

/** In the format of the console. */
function shareOf(part: number, all: number): string {
  const share = (100 * part) / Math.max(all, part, 1)
  if (share > 0 && share < 0.1) return '<0.1 %'
  return `${share.toLocaleString('en', { maximumFractionDigits: share < 10 ? 1 : 0 })} %`
}

const timeOf = (date: Date) => date.toISOString().slice(11, 19)
