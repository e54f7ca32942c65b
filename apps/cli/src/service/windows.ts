/** `eventflow windows` and `eventflow joins`. */
import type {
  JoinSummary,
  LateEvent,
  LateFilter,
  OpenWindow,
  Operator,
  Page,
  ResultFilter,
  WaitingJoinEvent,
  WindowResult,
  WindowSummary,
} from '@eventflow/client'
import { figure } from '../progress.js'
import { type ShowOptions, showList } from './show.js'

/** The size of a page of the service. */
const PAGE = 1_000

/** The options of a command that lists what a window or a join has. */
export interface StateListOptions extends ShowOptions {
  limit: number
}

export interface WaitingFilter {
  key?: string
  side?: 'left' | 'right'
}

/** Prints all windows, by name. Resolves with the exit code, as all here. */
export async function listWindows(operator: Operator, options: ShowOptions): Promise<number> {
  const items = await readAll((page) => operator.windows.list(page))
  const right = ['version', 'open', 'results', 'late']
  const rowOf = (window: WindowSummary) => [
    ...[window.name, `${window.version}`, stateOf(window), figure(window.open_windows), figure(window.results)],
    ...[figure(window.late_events), window.watermark?.min ?? '-', window.types.join(', ')],
  ]
  const heading = ['window', 'version', 'state', 'open', 'results', 'late', 'watermark', 'reads']
  showList(items.sort(byName), { none: 'There is no window.', heading, right, rowOf }, options)
  return 0
}

/** Prints all joins, by name. */
export async function listJoins(operator: Operator, options: ShowOptions): Promise<number> {
  const items = await readAll((page) => operator.joins.list(page))
  const right = ['version', 'waiting', 'late']
  const rowOf = (join: JoinSummary) => [
    ...[join.name, `${join.version}`, stateOf(join), figure(join.waiting), figure(join.late_events)],
    ...[join.watermark?.min ?? '-', join.types.join(', ')],
  ]
  const heading = ['join', 'version', 'state', 'waiting', 'late', 'watermark', 'reads']
  showList(items.sort(byName), { none: 'There is no join.', heading, right, rowOf }, options)
  return 0
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)

const stateOf = ({ paused, rebuilding }: WindowSummary | JoinSummary) =>
  [paused && 'paused', rebuilding && 'rebuilding'].filter(Boolean).join(', ') || 'running'

async function readAll<Item>(read: (page: { limit: number; cursor: string | undefined }) => Promise<Page<Item>>) {
  const items: Item[] = []
  let cursor: string | undefined
  do {
    const page = await read({ limit: PAGE, cursor })
    items.push(...page.items)
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return items
}

/** Prints results of a window. */
export async function listResults(
  operator: Operator,
  name: string,
  { key, from, to, limit, ...options }: StateListOptions & ResultFilter,
): Promise<number> {
  const page = await operator.windows.results(name, { key, from, to }, { limit })
  const rowOf = (row: WindowResult) => [row.start, row.end, row.key, JSON.stringify(row.result)]
  showList(page.items, { none: 'No result matches.', heading: ['start', 'end', 'key', 'result'], rowOf }, options)
  return told(page, options)
}

/** Prints open windows. */
export async function listOpen(
  operator: Operator,
  name: string,
  { key, limit, ...options }: StateListOptions & { key?: string },
): Promise<number> {
  const page = await operator.windows.open(name, { key }, { limit })
  const rowOf = (row: OpenWindow) => [row.start, row.end, row.closes_at, row.key, JSON.stringify(row.state)]
  const heading = ['start', 'end', 'closes at', 'key', 'state']
  showList(page.items, { none: 'No window is open.', heading, rowOf }, options)
  return told(page, options)
}

/** Prints late events of a window or a join. */
export async function listLate(
  operator: Operator,
  { kind, name }: { kind: 'windows' | 'joins'; name: string },
  { type, key, from, to, limit, ...options }: StateListOptions & LateFilter,
): Promise<number> {
  const page = await operator[kind].late(name, { type, key, from, to }, { limit })
  const rowOf = (row: LateEvent) => [row.time, row.watermark, row.type, row.partitionkey, row.id]
  const heading = ['occurred', 'watermark', 'type', 'key', 'id']
  showList(page.items, { none: 'No event was late.', heading, rowOf }, options)
  return told(page, options)
}

/** Prints events that wait in a join. */
export async function listWaiting(
  operator: Operator,
  name: string,
  { key, side, limit, ...options }: StateListOptions & WaitingFilter,
): Promise<number> {
  const page = await operator.joins.waiting(name, { key, side }, { limit })
  const rowOf = (row: WaitingJoinEvent) => [
    ...[
      row.time,
      row.expires_at,
      row.side,
      row.matched ? 'yes' : 'no',
      row.type ?? '-',
      row.partitionkey,
      row.id ?? '-',
    ],
  ]
  const heading = ['occurred', 'expires at', 'side', 'matched', 'type', 'key', 'id']
  showList(page.items, { none: 'No event waits.', heading, rowOf }, options)
  return told(page, options)
}

/** Says that there may be more. */
function told({ items, next }: Page<unknown>, { note }: ShowOptions): number {
  if (next !== null)
    note(`There may be more: show more with --limit ${Math.min(PAGE, Math.max(items.length, 20) * 10)}`)
  return 0
}
