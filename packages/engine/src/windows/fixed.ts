/** Windows with fixed bounds: tumbling, hopping, and those of the calendar. Their state is kept by panes. */
import type { Aggregation, FixedWindows, Micros, Window } from '@eventflow/core'
import {
  deletePanes,
  type Generation,
  type PaneKey,
  type PaneRow,
  type Passed,
  readDueEnds,
  readPanes,
  readPanesOf,
  type Transaction,
  writePanes,
} from '@eventflow/db'
import type { LogDelivery } from '../groups/delivery.js'
import type { Applied, Met } from '../groups/stateful.js'
import { CLOSING, type Closing, closedOf } from './closing.js'
import { foldEvents } from './fold.js'

interface Pane extends PaneKey {
  end: Micros
  /** The end of the earliest window that counts it. */
  closeAt: Micros
  deliveries: LogDelivery[]
}

/** Adds events to the panes that they belong to. */
export async function addToPanes(
  tx: Transaction,
  met: readonly Met[],
  generation: Generation,
  { windows, aggregation }: { windows: FixedWindows; aggregation: Aggregation },
): Promise<Pick<Applied, 'late' | 'refused'>> {
  const { panes, late } = divide(met, windows)
  const known = new Map((await readPanes(tx, generation, [...panes.values()])).map((row) => [nameOf(row), row]))
  const rows: PaneRow[] = []
  const refused: Applied['refused'] = []
  for (const [name, { deliveries, ...pane }] of panes) {
    const folded = foldEvents(known.get(name), deliveries, aggregation)
    refused.push(...folded.refused)
    if (folded.fold && folded.refused.length < deliveries.length) rows.push({ ...pane, ...folded.fold })
  }
  await writePanes(tx, generation, rows)
  return { late, refused }
}

/** The panes of events. An event is late if the watermark that it meets has passed all its windows. */
function divide(met: readonly Met[], windows: FixedWindows): { panes: Map<string, Pane>; late: Met[] } {
  const panes = new Map<string, Pane>()
  const late: Met[] = []
  for (const one of met) {
    const { partition, tenantId, key } = one.delivery.event
    const pane = windows.paneOf(one.time)
    const open = windows.firstOpen(pane, one.watermark)
    if (!open) {
      late.push(one)
      continue
    }
    const ids = { partition, tenantId, key, start: pane.start, firstOpen: open.start }
    const name = nameOf(ids)
    const found = panes.get(name)
    if (found) found.deliveries.push(one.delivery)
    else panes.set(name, { ...ids, end: pane.end, closeAt: open.end, deliveries: [one.delivery] })
  }
  return { panes, late }
}

const keyOf = ({ partition, tenantId, key }: Pick<PaneKey, 'partition' | 'tenantId' | 'key'>) =>
  `${partition} ${tenantId} ${key}`

const nameOf = (pane: PaneKey) => `${pane.start} ${pane.firstOpen} ${keyOf(pane)}`

/** Closes windows that the watermarks have passed, the earliest first. */
export async function closeWindows(
  tx: Transaction,
  passed: readonly Passed[],
  generation: Generation,
  { windows, aggregation }: { windows: FixedWindows; aggregation: Aggregation },
): Promise<Closing> {
  const limit = Math.max(1, Math.min(CLOSING.ends, Math.floor(CLOSING.panes / windows.panes)))
  const ends = await readDueEnds(tx, generation, passed, { limit, bytes: CLOSING.bytes })
  if (ends.length === 0) return { closed: [], more: false }
  const panes = new Map<string, PaneRow[]>(ends.map((end) => [keyOf(end), []]))
  const keys = new Map(ends.map((end) => [keyOf(end), end]))
  for (const row of await readPanesOf(tx, generation, [...keys.values()], ends.at(-1)!.closeAt)) {
    panes.get(keyOf(row))!.push(row)
  }
  const moved = new Set<PaneRow>()
  const gone = new Set<PaneRow>()
  const closed = ends.map((end) => {
    const ofKey = panes.get(keyOf(end))!
    const ending = ofKey.filter(({ closeAt }) => closeAt === end.closeAt)
    const window = windows.windowsOf(ending[0]!).find((one) => one.end === end.closeAt)!
    const members = ofKey.filter((pane) => isCountedBy(window, pane))
    const result = closedOf({ ...end, ...window }, members, aggregation)
    for (const pane of ending) {
      const next = windows.windowsOf(pane).find((one) => one.end > window.end)
      if (next) moved.add(Object.assign(pane, { closeAt: next.end }))
      else gone.add(pane)
    }
    return result
  })
  await deletePanes(tx, generation, [...gone])
  const staying = [...moved].filter((pane) => !gone.has(pane))
  await writePanes(tx, generation, staying)
  // A pane is due again if the watermark has passed its next window, too.
  return { closed, more: true }
}

const isCountedBy = (window: Window, { start, firstOpen }: PaneRow) =>
  window.start <= start && start < window.end && firstOpen <= window.start
