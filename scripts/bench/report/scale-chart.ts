/** The long run as an SVG: the rate and the memory of every process, over the number of events. */
import type { Scale } from '../suites/scale.js'
import { short, whole } from './figures.js'
import { escaped, fixed, svg } from './svg.js'

const WIDTH = 860
const LEFT = 90
const RIGHT = 170
const PANEL = 170
const FIRST = 84
const MEBIBYTE = 2 ** 20
const SECOND = FIRST + PANEL + 70

interface Line {
  name: string
  /** Selects the colour. */
  group: string
  points: { events: number; value: number }[]
}

/** Draws the chart. */
export function drawScale({ events, parts, memory }: Pick<Scale, 'events' | 'parts' | 'memory'>, note: string): string {
  const rate: Line = {
    name: '',
    group: 'eventflow',
    points: parts.map(({ upTo, eventsPerSecond }) => ({ events: upTo, value: eventsPerSecond })),
  }
  const roles = Object.keys(memory.at(-1)!.byRole)
  const memories = roles.map((role) => ({
    name: role,
    group: role,
    points: memory.map(({ events: upTo, byRole }) => ({ events: upTo, value: (byRole[role] ?? 0) / MEBIBYTE })),
  }))
  const title = `${whole(events)} events`
  return svg(
    title,
    WIDTH,
    SECOND + PANEL + 40,
    `
  <text class="title" x="${LEFT}" y="22">${title}</text>
  <text class="note" x="${LEFT}" y="40">${escaped(note)}</text>` +
      panel(FIRST, 'events a second, of each 100,000', [rate], events, whole) +
      panel(SECOND, 'memory of their own', memories, events, (value) => `${short(value)} MiB`),
  )
}

/** A few lines over the events, from zero to a round figure above the highest point. */
function panel(top: number, title: string, lines: Line[], events: number, figure: (value: number) => string): string {
  const highest = roundUp(Math.max(1, ...lines.flatMap(({ points }) => points.map(({ value }) => value))))
  const x = (at: number) => LEFT + ((WIDTH - LEFT - RIGHT) * at) / events
  const y = (value: number) => top + PANEL * (1 - value / highest)
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = fixed(y(share * highest))
    return `
  <line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/>
  <text class="note" x="${LEFT - 8}" y="${Number(at) + 4}" text-anchor="end">${figure(share * highest)}</text>`
  })
  const drawn = lines.map(({ group, points }) => {
    const path = points.map((point) => `${fixed(x(point.events))},${fixed(y(point.value))}`).join(' ')
    return `
  <polyline class="${group}" points="${path}"/>`
  })
  const labels = placeLabels(lines.map(({ points }) => y(points.at(-1)?.value ?? 0)))
  const named = lines.map(({ name, points }, n) =>
    name === ''
      ? ''
      : `
  <text x="${WIDTH - RIGHT + 8}" y="${fixed(labels[n]! + 4)}">${name} ${figure(points.at(-1)?.value ?? 0)}</text>`,
  )
  return `
  <text x="${LEFT}" y="${top - 10}">${title}</text>${[...grid, ...drawn, ...named].join('')}
  <text class="note" x="${WIDTH - RIGHT}" y="${top + PANEL + 18}" text-anchor="end">${whole(events)} events</text>`
}

/** The next of 1, 2, 4, 6, 8 times a power of ten: a quarter of it is easy to read. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * [1, 2, 4, 6, 8, 10].find((step) => step * power >= value)!
}

const LABEL_HEIGHT = 16

/** Moves labels up until they do not overlap. */
function placeLabels(wanted: readonly number[]): number[] {
  const placed = [...wanted]
  const fromBelow = wanted.map((_, n) => n).sort((a, b) => wanted[b]! - wanted[a]!)
  for (let n = 1; n < fromBelow.length; n++) {
    const [below, above] = [fromBelow[n - 1]!, fromBelow[n]!]
    placed[above] = Math.min(placed[above]!, placed[below]! - LABEL_HEIGHT)
  }
  return placed
}
