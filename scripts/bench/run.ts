/** A whole run: every variant, round by round, then the single measurements. */
import { type Measurement, measure, type Variant } from './measure.js'
import { describeRound } from './report/table.js'
import { describeMachine, type Results, readCommit, resultOf, type Settings } from './results.js'
import type { Stack } from './stack.js'
import { measureIdle } from './suites/idle.js'
import { type LedgerOptions, measureLedger } from './suites/ledger/ledger.js'
import { measureReaderScale } from './suites/reader-scale.js'
import { measureReaders } from './suites/readers.js'
import { measureScale } from './suites/scale.js'
import { measureWalls } from './suites/walls.js'
import { measureWatched } from './suites/watched.js'
import type { Terminal } from './terminal.js'

export interface Plan extends Settings {
  variants: readonly Variant[]
  idle: boolean
  /** With the live page open in a browser. */
  watched: boolean
  /** Beside an attacking tenant. */
  walls: boolean
  /** With consumer groups beside the pipeline. */
  readers: boolean
  /** Events of the long run, 0 for none. */
  scaleEvents: number
  /** Events that a window reads from far behind. */
  readerEvents?: number
  /** The tables in parts beside those of before. */
  ledger?: LedgerOptions
}

/**
 * Runs the plan. The rounds go A B C A B C, not A A B B, so that other load on the machine affects all variants alike.
 */
export async function run(stack: Stack, plan: Plan, { say, now }: Terminal): Promise<Results> {
  const { variants, rounds, seconds, warmUpSeconds } = plan
  const results: Results = {
    at: new Date().toISOString(),
    commit: await readCommit(),
    machine: describeMachine(),
    versions: { node: process.versions.node, ...(await stack.versions()) },
    settings: { rounds, seconds, warmUpSeconds },
    variants: [],
  }
  const measured = new Map<Variant, Measurement[]>(variants.map((variant) => [variant, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const [variant, measurements] of measured) {
      const name = `${round}/${rounds}  ${variant.name.padEnd(20)}`
      const onProgress = (what: string) => now(`${name}  ${what}`)
      const measurement = await measure(stack, variant, { warmUpSeconds, seconds, onProgress })
      measurements.push(measurement)
      say(`${name}  ${describeRound(measurement)}`)
    }
  }
  results.variants = [...measured].map(([variant, measurements]) => resultOf(variant, measurements))
  if (plan.idle) {
    now('idle')
    results.idle = await measureIdle(stack, seconds)
  }
  if (plan.watched) results.watched = await measureWatched(stack, seconds, now)
  if (plan.walls) results.walls = await measureWalls(stack, seconds, { say, now })
  if (plan.readers) results.readers = await measureReaders(stack, { seconds, rounds }, { say, now })
  if (plan.ledger) results.ledger = await measureLedger(stack, plan.ledger, results.settings, { say, now })
  if (plan.scaleEvents > 0) {
    say(`${plan.scaleEvents.toLocaleString('en')} events`)
    const onProgress = (what: string) => now(`scale  ${what}`)
    results.scale = await measureScale(stack, { events: plan.scaleEvents, say, onProgress })
  }
  if (plan.readerEvents) {
    say(`a window reads ${plan.readerEvents.toLocaleString('en')} events`)
    results.readerScale = await measureReaderScale(stack, plan.readerEvents, { say, now })
  }
  now('')
  return results
}
