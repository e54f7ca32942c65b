/** The last hour, in memory: the last minutes second by second, older ones in steps of ten seconds. */

/** A time in milliseconds since 1970, and the values measured then; `null` if a value was not measured. */
export interface Point {
  at: number
  values: readonly (number | null)[]
}

export interface History {
  add(point: Point): void
  /** All points, the oldest first. */
  points(): Point[]
}

const FINE_POINTS = 300
const COARSE_POINTS = 360
const COARSE_STEP_MS = 10_000

export function createHistory(): History {
  const fine: Point[] = []
  const coarse: Point[] = []
  let step: Point[] = []

  return {
    add(point) {
      fine.push(point)
      if (fine.length > FINE_POINTS) shorten(fine.shift()!)
    },
    points: () => [...coarse, ...(step.length > 0 ? [meanOf(step)] : []), ...fine],
  }

  function shorten(point: Point): void {
    if (step.length > 0 && stepOf(point) !== stepOf(step[0]!)) {
      coarse.push(meanOf(step))
      if (coarse.length > COARSE_POINTS) coarse.shift()
      step = []
    }
    step.push(point)
  }
}

const stepOf = ({ at }: Point) => Math.floor(at / COARSE_STEP_MS)

/** Combines several points into one with the means of the measured values. */
function meanOf(points: readonly Point[]): Point {
  const values = points[0]!.values.map((_, i) => {
    const measured = points.flatMap(({ values }) => values[i] ?? [])
    return measured.length === 0 ? null : measured.reduce((sum, value) => sum + value, 0) / measured.length
  })
  return { at: points[0]!.at, values }
}
