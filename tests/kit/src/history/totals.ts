/** Compares the handler's aggregate with a recount of the effects. */
import type { EffectRow, TotalRow } from './rows.js'
import type { Findings } from './verdict.js'

export interface Totals {
  effect(row: EffectRow): void
  /** To be called after all effects, once for each key. */
  total(row: TotalRow): void
  /** To be called after all totals. */
  checkMissing(): void
}

export function createTotals(findings: Findings): Totals {
  const recount = new Map<string, { count: number; sum: number }>()

  return {
    effect({ key, n }) {
      const total = recount.get(key) ?? { count: 0, sum: 0 }
      recount.set(key, { count: total.count + 1, sum: total.sum + n })
    },

    total({ key, count, sum }) {
      const counted = recount.get(key) ?? { count: 0, sum: 0 }
      recount.delete(key)
      if (counted.count === count && counted.sum === sum) return
      const words = `the aggregate has ${count} events and the sum ${sum}, the effects make ${counted.count} and ${counted.sum}`
      findings.add('total', () => `key ${key}: ${words}`)
    },

    checkMissing() {
      for (const [key, { count }] of recount) findings.add('total', () => `key ${key}: ${count} effects, no aggregate`)
    },
  }
}
