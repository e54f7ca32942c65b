/** Results of windows as the bars of a chart. */
import type { WindowResult } from '@eventflow/client'

/** A bar, in percent of the chart's width and height; its top-left corner is at `x`, `y`. */
interface Bar {
  x: number
  y: number
  width: number
  height: number
  value: number
  result: WindowResult
}

export interface Bars {
  bars: Bar[]
  /** The values at the lower and the upper edge. */
  low: number
  high: number
  /** Milliseconds since 1970. */
  from: number
  to: number
}

/** The narrowest bar, in percent of the width. */
const MIN_WIDTH = 0.4

/** The aggregates that have a number in some result, in the order in which they are first seen. */
export function numericAggregates(results: readonly WindowResult[]): string[] {
  const names = new Set<string>()
  for (const { result } of results) {
    for (const [name, value] of Object.entries(result)) if (numberOf(value) !== undefined) names.add(name)
  }
  return [...names]
}

/** A number, or the text of one that JavaScript cannot keep exactly. */
function numberOf(value: unknown): number | undefined {
  const isNumber = typeof value === 'number' || (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value))
  const number = isNumber ? Number(value) : Number.NaN
  return Number.isFinite(number) ? number : undefined
}

/**
 * The bars of one aggregate in the results of one key, the earliest first. Windows that overlap are cut where the next
 * one begins. `undefined` if there is nothing to show.
 */
export function barsOf(results: readonly WindowResult[], aggregate: string): Bars | undefined {
  const shown = results
    .flatMap((result) => {
      const value = numberOf(result.result[aggregate])
      return value === undefined ? [] : [{ result, value, from: Date.parse(result.start), to: Date.parse(result.end) }]
    })
    .sort((a, b) => a.from - b.from)
  if (shown.length === 0) return undefined
  const values = shown.map(({ value }) => value)
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)]
  const span = high - low || 1
  const from = shown[0]!.from
  const to = Math.max(...shown.map((one) => one.to))
  const length = to - from || 1
  const bars = shown.map((one, i): Bar => {
    const end = Math.min(one.to, shown[i + 1]?.from ?? one.to)
    const width = Math.max(MIN_WIDTH, (100 * (end - one.from)) / length)
    return {
      x: Math.min((100 * (one.from - from)) / length, 100 - width),
      y: (100 * (high - Math.max(0, one.value))) / span,
      width,
      height: (100 * Math.abs(one.value)) / span,
      value: one.value,
      result: one.result,
    }
  })
  return { bars, low, high, from, to }
}
