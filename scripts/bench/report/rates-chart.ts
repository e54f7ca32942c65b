/** The rates as an SVG: bars for the medians, lines from the minimum to the maximum round, in light and dark. */
import type { VariantResult } from '../results.js'
import { whole } from './figures.js'
import { escaped, fixed, svg } from './svg.js'

const TITLE = 'Events a second, end to end'
const WIDTH = 860
const LEFT = 310
const RIGHT = 120
const ROW = 26
const BAR = 16
const TOP = 54
const GROUP_GAP = 12

/** Draws the measurements at full speed: without the runs at a fixed rate, and those with several processes. */
export function drawRates(variants: readonly VariantResult[], note: string): string {
  const shown = variants.filter(({ group }) => group !== 'latency' && group !== 'workers')
  const width = WIDTH - LEFT - RIGHT
  const scale = width / axisEnd(shown)
  let y = TOP
  const rows = shown.map(({ title, group, eventsPerSecond: { median, min, max } }, n) => {
    if (n > 0 && shown[n - 1]!.group !== group) y += GROUP_GAP
    const middle = y + BAR / 2
    const [end, from, to] = [median, min, max].map((value) => Math.min(value * scale, width))
    const row = `
  <text x="${LEFT - 10}" y="${middle + 4}" text-anchor="end">${escaped(title)}</text>
  <rect class="${group}" x="${LEFT}" y="${y}" width="${fixed(end!)}" height="${BAR}" rx="2"/>
  <line class="spread" x1="${fixed(LEFT + from!)}" x2="${fixed(LEFT + to!)}" y1="${middle}" y2="${middle}"/>
  <text x="${fixed(LEFT + to! + 8)}" y="${middle + 4}">${median * scale > width ? '→ ' : ''}${whole(median)}</text>`
    y += ROW
    return row
  })
  const head = `
  <text class="title" x="${LEFT}" y="22">${TITLE}</text>
  <text class="note" x="${LEFT}" y="40">${escaped(note)}</text>`
  return svg(TITLE, WIDTH, y + 8, head + rows.join(''))
}

/** Some limits are so far beyond the rest that it would be too small to see: they are truncated, with their value. */
function axisEnd(shown: readonly VariantResult[]): number {
  const largest = (of: readonly VariantResult[]) => Math.max(0, ...of.map(({ eventsPerSecond }) => eventsPerSecond.max))
  const pipelines = largest(shown.filter(({ group }) => group !== 'limits'))
  return pipelines === 0 ? largest(shown) : Math.min(largest(shown), 1.8 * pipelines)
}
