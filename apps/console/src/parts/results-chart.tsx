/** A bar chart of the results of a window over time. */
import type { WindowResult } from '@eventflow/client'
import { barsOf } from '../bars.js'
import { count, time } from '../format.js'

interface ResultsChartProps {
  title: string
  results: readonly WindowResult[]
  aggregate: string
}

/** The table of the results has the same values; each bar has a tooltip. */
export function ResultsChart({ title, results, aggregate }: ResultsChartProps) {
  const chart = barsOf(results, aggregate)
  if (!chart) return null
  const { bars, low, high, from, to } = chart
  const last = bars.at(-1)!
  const [begin, end] = [from, to].map((at) => time(new Date(at).toISOString()))
  const zero = (100 * high) / (high - low || 1)
  const told = `${title}: ${bars.length} ${bars.length === 1 ? 'result' : 'results'} from ${begin} to ${end}, from ${count(low)} to ${count(high)}.`
  return (
    <figure class="chart results">
      <figcaption>
        {title}
        <small>latest {count(last.value)}</small>
      </figcaption>
      <div class="plot">
        <p class="scale" aria-hidden="true">
          <span>{count(high)}</span>
          <span>{count(low)}</span>
        </p>
        <svg
          viewBox="0 0 100 100"
          preserveAspectRatio="none"
          role="img"
          aria-label={`${told} Latest: ${count(last.value)}.`}
        >
          {bars.map(({ x, y, width, height, value, result }) => (
            <rect key={result.start} x={x + width * 0.04} y={y} width={width * 0.92} height={height}>
              <title>{`${time(result.start)} to ${time(result.end)}: ${value}`}</title>
            </rect>
          ))}
          <line x1="0" x2="100" y1={zero} y2={zero} />
        </svg>
      </div>
      <p class="times" aria-hidden="true">
        <span>{begin}</span>
        <span>{end}</span>
      </p>
    </figure>
  )
}
