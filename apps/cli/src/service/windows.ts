/** `eventflow windows` and `eventflow joins`. */
import type {
  JoinSummary,
  LateEvent,
  LateFilter,
  OpenWindow,
  Operator,
  ResultFilter,
  WaitingJoinEvent,
  WindowResult,
  WindowSummary,
} from '@eventflow/client'
import { figure } from '../progress.js'
import { type ShowOptions, showAll, showPage } from './show.js'

/** The options of a command that lists what a window or a join has. */
export interface StateListOptions extends ShowOptions {
  limit: number
}

export interface WaitingFilter {
  key?: string
  side?: 'left' | 'right'
}

/** Prints all windows, by name. Resolves with the exit code, as all here. */
export function listWindows({ windows }: Operator, options: ShowOptions): Promise<number> {
  const counts = { open: (of: WindowSummary) => of.open_windows, results: (of: WindowSummary) => of.results }
  return showAll((page) => windows.list(page), listOf('window', counts), options)
}

/** Prints all joins, by name. */
export function listJoins({ joins }: Operator, options: ShowOptions): Promise<number> {
  return showAll((page) => joins.list(page), listOf('join', { waiting: (of: JoinSummary) => of.waiting }), options)
}

/** How windows or joins are printed; `own`: the counts that only this kind has. */
function listOf<Item extends WindowSummary | JoinSummary>(kind: string, own: Record<string, (of: Item) => number>) {
  const counts = { ...own, late: ({ late_events }: Item) => late_events }
  return {
    none: `There is no ${kind}.`,
    heading: [kind, 'version', 'state', ...Object.keys(counts), 'watermark', 'reads'],
    right: ['version', ...Object.keys(counts)],
    rowOf: (item: Item) => [
      ...[item.name, `${item.version}`, stateOf(item), ...Object.values(counts).map((count) => figure(count(item)))],
      ...[item.watermark?.min ?? '-', item.types.join(', ')],
    ],
  }
}

const stateOf = ({ paused, rebuilding }: WindowSummary | JoinSummary) =>
  [paused && 'paused', rebuilding && 'rebuilding'].filter(Boolean).join(', ') || 'running'

/** Prints results of a window. */
export async function listResults(
  operator: Operator,
  name: string,
  { key, from, to, ...options }: StateListOptions & ResultFilter,
): Promise<number> {
  const page = await operator.windows.results(name, { key, from, to }, { limit: options.limit })
  const rowOf = (row: WindowResult) => [row.start, row.end, row.key, JSON.stringify(row.result)]
  return showPage(page, { none: 'No result matches.', heading: ['start', 'end', 'key', 'result'], rowOf }, options)
}

/** Prints open windows. */
export async function listOpen(
  operator: Operator,
  name: string,
  { key, ...options }: StateListOptions & { key?: string },
): Promise<number> {
  const page = await operator.windows.open(name, { key }, { limit: options.limit })
  const rowOf = (row: OpenWindow) => [row.start, row.end, row.closes_at, row.key, JSON.stringify(row.state)]
  const heading = ['start', 'end', 'closes at', 'key', 'state']
  return showPage(page, { none: 'No window is open.', heading, rowOf }, options)
}

/** Prints late events of a window or a join. */
export async function listLate(
  operator: Operator,
  { kind, name }: { kind: 'windows' | 'joins'; name: string },
  { type, key, from, to, ...options }: StateListOptions & LateFilter,
): Promise<number> {
  const page = await operator[kind].late(name, { type, key, from, to }, { limit: options.limit })
  const rowOf = (row: LateEvent) => [row.time, row.watermark, row.type, row.partitionkey, row.id]
  const heading = ['occurred', 'watermark', 'type', 'key', 'id']
  return showPage(page, { none: 'No event was late.', heading, rowOf }, options)
}

/** Prints events that wait in a join. */
export async function listWaiting(
  operator: Operator,
  name: string,
  { key, side, ...options }: StateListOptions & WaitingFilter,
): Promise<number> {
  const page = await operator.joins.waiting(name, { key, side }, { limit: options.limit })
  const rowOf = (row: WaitingJoinEvent) => [
    ...[
      row.time,
      row.expires_at ?? 'never',
      row.side,
      row.matched ? 'yes' : 'no',
      row.type ?? '-',
      row.partitionkey,
      row.id ?? '-',
    ],
  ]
  const heading = ['occurred', 'expires at', 'side', 'matched', 'type', 'key', 'id']
  return showPage(page, { none: 'No event waits.', heading, rowOf }, options)
}
