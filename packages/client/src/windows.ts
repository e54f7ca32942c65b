/** Windows and joins in the operator's client. */
import type { Sending } from './http.js'
import { type Page, type PageOptions, queryOf } from './lists.js'

/** The lowest and the highest watermark of the partitions: how far event time has come. RFC 3339. */
export interface Watermark {
  min: string
  max: string
}

/** What a window and a join have in common; counts are those of the tenant, up to 10,000. */
interface Stateful {
  name: string
  version: number
  types: string[]
  /** How much later than others an event may arrive. */
  out_of_orderness_seconds: number
  /** After how long without events time goes on; `null`: only with later events. */
  idle_seconds: number | null
  paused: boolean
  /** A new version is being built from the log, and will replace this one. */
  rebuilding: boolean
  late_events: number
  /** `null` before the first event. */
  watermark: Watermark | null
}

/** A window. */
export interface WindowSummary extends Stateful {
  /** Panes and sessions that are not closed. */
  open_windows: number
  /** Those that are kept. */
  results: number
}

/** A join. */
export interface JoinSummary extends Stateful {
  /** Events that may still be joined with others. */
  waiting: number
}

/** The final result of a window for a key: from `start` to before `end`. */
export interface WindowResult {
  key: string
  start: string
  end: string
  partition: number
  closed_at: string
  /** The aggregates by their names. */
  result: Record<string, unknown>
}

/** A window of a key that is not closed; of windows that overlap, a part of them. */
export interface OpenWindow {
  key: string
  start: string
  end: string
  /** It closes when the watermark is here. */
  closes_at: string
  partition: number
  state_bytes: number
  /** What the aggregates remember, by their names. */
  state: Record<string, unknown>
}

/** An event that came after its window was closed, or after what it could be joined with had expired. */
export interface LateEvent {
  id: string
  type: string
  partitionkey: string
  partition: number
  /** When it occurred. */
  time: string
  /** How far event time was when it came. */
  watermark: string
  recorded_at: string
}

/** An event that may still be joined with others. */
export interface WaitingJoinEvent {
  /** Missing, as the type, if retention has removed the event. */
  id?: string
  type?: string
  side: 'left' | 'right'
  partitionkey: string
  partition: number
  time: string
  /** It waits until the watermark is here; `null`: until a later event of its key replaces it. */
  expires_at: string | null
  /** It was joined with at least one other event. */
  matched: boolean
}

/** Selects results of windows that end after `from` and not after `to`, RFC 3339. */
export interface ResultFilter {
  key?: string | undefined
  from?: string | undefined
  to?: string | undefined
}

/** Selects late events that occurred at `from` or later and before `to`, RFC 3339. */
export interface LateFilter extends ResultFilter {
  type?: string | undefined
}

/** What windows and joins have in common. As of `Operator`, every method throws RequestFailed on failure. */
interface StatefulOperator<Summary> {
  /** The newest first. */
  list(page?: PageOptions): Promise<Page<Summary>>
  /** `undefined` if there is none of this name. */
  get(name: string): Promise<Summary | undefined>
  /** The last accepted first. */
  late(name: string, filter?: LateFilter, page?: PageOptions): Promise<Page<LateEvent>>
}

/** As of `Operator`, every method throws RequestFailed on failure. */
export interface WindowOperator extends StatefulOperator<WindowSummary> {
  /** Those of the latest windows first. */
  results(name: string, filter?: ResultFilter, page?: PageOptions): Promise<Page<WindowResult>>
  /** By key. */
  open(name: string, filter?: { key?: string | undefined }, page?: PageOptions): Promise<Page<OpenWindow>>
}

/** As of `Operator`, every method throws RequestFailed on failure. */
export interface JoinOperator extends StatefulOperator<JoinSummary> {
  /** By key. */
  waiting(
    name: string,
    filter?: { key?: string | undefined; side?: 'left' | 'right' | undefined },
    page?: PageOptions,
  ): Promise<Page<WaitingJoinEvent>>
}

export function createWindowOperators({ call, always }: Sending): { windows: WindowOperator; joins: JoinOperator } {
  const at = (kind: string, name: string) => `/v1/${kind}/${encodeURIComponent(name)}`
  const list =
    <Item>(kind: string, what: string) =>
    (name: string, filter: object = {}, page: PageOptions = {}) =>
      always<Page<Item>>('GET', `${at(kind, name)}/${what}${queryOf({ ...filter, ...page })}`)
  const shared = <Summary>(kind: string): StatefulOperator<Summary> => ({
    list: (page = {}) => always('GET', `/v1/${kind}${queryOf(page)}`),
    get: (name) => call('GET', at(kind, name)),
    late: list(kind, 'late'),
  })
  return {
    windows: { ...shared('windows'), results: list('windows', 'results'), open: list('windows', 'open') },
    joins: { ...shared('joins'), waiting: list('joins', 'waiting') },
  }
}
