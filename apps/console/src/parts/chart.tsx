/** Line charts over time. */
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { Recorded } from '../live.js'
import { theme } from '../theme.js'

export interface Line {
  /** The service's name of the series. */
  name: string
  label: string
  /** A custom property of the style sheet. */
  colour: string
  filled?: boolean
}

export interface ChartProps {
  title: string
  recorded: Recorded
  lines: readonly Line[]
  /** How much of the past is shown, in seconds. */
  span: number
  format: (value: number | null) => string
}

const HEIGHT = 140

/** Charts of the same period share their cursor. */
const cursors = uPlot.sync('time')

export function Chart({ title, recorded, lines, span, format }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | undefined>(undefined)
  const dark = theme.value
  const [pointed, setPointed] = useState<number | null>(null)

  useEffect(() => {
    const element = place.current!
    const style = getComputedStyle(element)
    const colour = (name: string) => style.getPropertyValue(name).trim()
    const axis = {
      stroke: colour('--muted'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: `11px ${style.fontFamily}`,
    }
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        cursor: { sync: { key: cursors.key }, drag: { x: false, y: false }, points: { size: 6 } },
        legend: { show: false },
        hooks: { setCursor: [({ cursor }) => setPointed(cursor.idx ?? null)] },
        scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, Number.MIN_VALUE) || 1] } },
        axes: [
          { ...axis, size: 26, space: 70, values: (_, times) => times.map(clock) },
          { ...axis, size: 58, space: 30, values: (_, values) => values.map((value) => format(value)) },
        ],
        series: [
          {},
          ...lines.map(({ colour: name, filled }) => ({
            stroke: colour(name),
            width: 1.5,
            points: { show: false },
            spanGaps: false,
            ...(filled && { fill: `${colour(name)}22` }),
          })),
        ],
      },
      [[], ...lines.map(() => [])],
      element,
    )
    chart.current = plot
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }))
    resized.observe(element)
    return () => {
      resized.disconnect()
      plot.destroy()
    }
  }, [dark])

  const end = recorded.at.at(-1) ?? Date.now() / 1_000
  const first = Math.max(
    0,
    recorded.at.findIndex((at) => at >= end - span),
  )
  const of = (name: string) => recorded.series[name]?.slice(first) ?? []
  const times = recorded.at.slice(first)

  useEffect(() => {
    chart.current?.batch(() => {
      chart.current?.setData([times, ...lines.map(({ name }) => of(name))] as uPlot.AlignedData, false)
      chart.current?.setScale('x', { min: end - span, max: end })
    })
  }, [recorded, span, lines, dark])

  const at = pointed ?? times.length - 1
  const shown = lines.map(({ name, label, colour }) => ({ label, colour, value: format(of(name)[at] ?? null) }))
  const now = lines.map(({ name, label }) => `${label} ${format(of(name).at(-1) ?? null)}`).join(', ')
  return (
    <figure class="chart">
      <figcaption>
        {title}
        <small>{pointed === null || times[at] === undefined ? '' : clock(times[at])}</small>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}. Now: ${now}.`} />
      <ul class="legend" aria-hidden="true">
        {shown.map(({ label, colour, value }) => (
          <li key={label}>
            <span class="mark" style={{ background: `var(${colour})` }} />
            {label} <strong>{value}</strong>
          </li>
        ))}
      </ul>
    </figure>
  )
}

const clock = (seconds: number) => new Date(seconds * 1_000).toLocaleTimeString('en-GB')
