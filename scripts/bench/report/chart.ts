/** The rates as an SVG: bars with their median, a line from the least to the greatest round, in light and in dark. */
import type { VariantResult } from '../results.js'
import { whole } from './figures.js'

const WIDTH = 860
const LEFT = 310
const RIGHT = 120
const ROW = 26
const BAR = 16
const TOP = 54
const GROUP_GAP = 12

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .note { fill: #59636e; font-size: 12px }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  .limits { fill: #afb8c1 } .naive { fill: #d4872c } .eventflow { fill: #1f6feb } .features { fill: #79a8f0 } .peers { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .spread { stroke: #e6edf3 }
    .limits { fill: #57606a } .eventflow { fill: #4493f8 } .features { fill: #2f5e9e } .peers { fill: #a371f7 }
  }`

/** Draws what was measured as fast as it goes: not the runs at a fixed rate, and not those with several processes. */
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
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 8}" width="${WIDTH}" height="${y + 8}" role="img">
  <title>Events a second, end to end</title>
  <style>${STYLE}
  </style>
  <text class="title" x="${LEFT}" y="22">Events a second, end to end</text>
  <text class="note" x="${LEFT}" y="40">${escaped(note)}</text>${rows.join('')}
</svg>
`
}

/** Some limits are far beyond everything else, which would be too small to see: they are cut off, and say how large they are. */
function axisEnd(shown: readonly VariantResult[]): number {
  const largest = (of: readonly VariantResult[]) => Math.max(0, ...of.map(({ eventsPerSecond }) => eventsPerSecond.max))
  const pipelines = largest(shown.filter(({ group }) => group !== 'limits'))
  return pipelines === 0 ? largest(shown) : Math.min(largest(shown), 1.8 * pipelines)
}

const fixed = (value: number) => value.toFixed(1)

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
