/** Late events of windows and joins in the last minutes, from the counters of the workers. */
import type { ToldFigures } from '@eventflow/db'
import { countedSince } from './rates.js'

/** What a window or a join has handled, and what of it came too late. */
export interface Lateness {
  handled: number
  late: number
}

const PERIOD_MS = 300_000

/** Sums up five minutes. `at` is in milliseconds and must not decrease. */
export function createLateEvents() {
  const kept: { counts: [name: string, count: number][]; at: number }[] = []
  return {
    /** Returns the sums by the name of the window or join. */
    add(before: readonly ToldFigures[], now: readonly ToldFigures[], at: number): Map<string, Lateness> {
      const counted = countedSince(before, now).flatMap(({ counts }) => Object.entries(counts))
      kept.push({ counts: counted.flatMap(([name, count]) => (count ? [[name, count]] : [])), at })
      while (kept[0]!.at <= at - PERIOD_MS) kept.shift()
      const sums = new Map<string, Lateness>()
      for (const [counter, count] of kept.flatMap(({ counts }) => counts)) {
        const [, of, name] = /^(handled|late) (.+)$/.exec(counter) ?? []
        if (!name) continue
        const sum = sums.get(name) ?? { handled: 0, late: 0 }
        sums.set(name, { ...sum, [of as keyof Lateness]: sum[of as keyof Lateness] + count })
      }
      return sums
    },
  }
}
