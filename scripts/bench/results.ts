/** The results of a run: everything that a later reader needs to judge it. */
import { execFile } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { promisify } from 'node:util'
import type { Measurement, Variant } from './measure.js'
import { type Percentiles, type Spread, spreadOf } from './statistics.js'
import type { Idle } from './suites/idle.js'
import type { Ledger } from './suites/ledger/ledger.js'
import type { ReaderScale } from './suites/reader-scale.js'
import type { Readers } from './suites/readers.js'
import type { Scale } from './suites/scale.js'
import type { Walls } from './suites/walls.js'
import type { Watched } from './suites/watched.js'

export interface VariantResult extends Omit<Variant, 'start'> {
  /** End to end: all events, over the time from the first request until every event is done. */
  eventsPerSecond: Spread
  /** Answered: all events, over the time from the first request to the last answer. */
  acceptedPerSecond: Spread
  /** Medians of the rounds, by role of the process. */
  cpuMicrosecondsPerEvent: Record<string, number>
  /** The share of the machine used by other processes: the median of the rounds. */
  takenByOthers: number
  /** Each percentile is the median of the rounds. */
  accept?: Percentiles
  delivery?: Percentiles
  rounds: Measurement[]
}

export interface Settings {
  rounds: number
  seconds: number
  warmUpSeconds: number
}

export interface Results {
  at: string
  commit: string
  machine: { cpu: string; cores: number; memoryBytes: number; system: string }
  versions: Record<string, string>
  settings: Settings
  variants: VariantResult[]
  idle?: Idle
  watched?: Watched
  walls?: Walls
  readers?: Readers
  readerScale?: ReaderScale
  scale?: Scale
  ledger?: Ledger
}

/** Combines the rounds of a variant. */
export function resultOf({ start: _, ...about }: Variant, rounds: Measurement[]): VariantResult {
  const roles = Object.keys(rounds[0]!.cpuSeconds)
  const accept = medianPercentiles(rounds.flatMap((round) => round.accept ?? []))
  const delivery = medianPercentiles(rounds.flatMap((round) => round.delivery ?? []))
  return {
    ...about,
    eventsPerSecond: spreadOf(rounds.map(({ events, seconds }) => events / seconds)),
    acceptedPerSecond: spreadOf(rounds.map(({ events, loadSeconds }) => events / loadSeconds)),
    cpuMicrosecondsPerEvent: Object.fromEntries(
      roles.map((role) => [
        role,
        spreadOf(rounds.map(({ cpuSeconds, events }) => (cpuSeconds[role]! / events) * 1e6)).median,
      ]),
    ),
    takenByOthers: spreadOf(rounds.map((round) => round.takenByOthers)).median,
    ...(accept && { accept }),
    ...(delivery && { delivery }),
    rounds,
  }
}

function medianPercentiles(rounds: readonly Percentiles[]): Percentiles | undefined {
  if (rounds.length === 0) return undefined
  const median = (of: keyof Percentiles) => spreadOf(rounds.map((round) => round[of])).median
  return { p50: median('p50'), p95: median('p95'), p99: median('p99'), p999: median('p999'), max: median('max') }
}

/** The properties of the machine that affect the figures. */
export function describeMachine(): Results['machine'] {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()}`,
  }
}

/** The measured commit, with a mark if there were uncommitted changes; `unknown` without git. */
export async function readCommit(): Promise<string> {
  const git = async (...args: string[]) => (await promisify(execFile)('git', args)).stdout.trim()
  try {
    const changed = await git('status', '--porcelain', '--untracked-files=no')
    return `${await git('rev-parse', '--short=12', 'HEAD')}${changed ? ' and changes' : ''}`
  } catch {
    return 'unknown'
  }
}
