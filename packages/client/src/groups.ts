/** Consumer groups in the operator's client. */
import type { Sending } from './http.js'
import {
  type DeadLetter,
  type DeadLetterAction,
  type DeadLetterFilter,
  type DryRun,
  type Page,
  type PageOptions,
  queryOf,
  type WholeDeadLetter,
} from './lists.js'
import type { Watermark } from './windows.js'

/** What a group has not read yet. `more`: there may be more events; `seconds`: since the first of them was settled. */
export interface GroupLag {
  events: number
  more: boolean
  seconds: number
}

/** Where a group begins again: at an end of the log, at what was settled at a time (RFC 3339), or above a position. */
export type GroupTarget = 'earliest' | 'latest' | { time: string } | { position: number }

/** A reset that waits for a worker, or the last one if it failed; `status` is pending or failed. */
export interface GroupReset {
  status: string
  to?: GroupTarget
  requested_by: string
  requested_at: string
  error?: string
}

/** What a window or a join holds of all tenants, counted up to 10,000. */
export interface GroupState {
  /** Of a window: panes and sessions that are not closed, and results that are kept. */
  open_windows?: number
  results?: number
  /** Of a join: events that may still be joined with others. */
  waiting?: number
  late_events: number
  watermark: Watermark | null
  /** Since the lowest watermark, where something is due by the clock; `null` if nothing closes without later events. */
  watermark_lag_seconds: number | null
  /** Where that watermark is. */
  lagging: { partition: number; tenant: string } | null
  /** The generation that is being built, and the share of the log that it has read. */
  building: { generation: number; done: number } | null
}

/**
 * A consumer group. Its `kind` is `consumer`, `window` or `join` if workers run it, and `external` if a program reads it
 * over HTTP.
 */
export interface Group {
  name: string
  kind: string
  version: number
  generation: number
  types: string[]
  created_at: string
  paused: { reason: string; by: string; at: string } | null
  reset: GroupReset | null
  /** The workers that read it. */
  owners: string[]
  lag: GroupLag
  /** Events that are to be tried again, or wait behind one. */
  parked: number
  /** Open ones. */
  dead_letters: number
  /** Of windows and joins. */
  state?: GroupState
}

/** A consumer group in each partition; only the operator's tenant sees positions. */
export interface WholeGroup extends Group {
  partitions: {
    partition: number
    owner: string | null
    lag: GroupLag
    parked: number
    dead_letters: number
    /** Of windows and joins: of all tenants. */
    watermark?: Watermark | null
    position?: number
    last?: number
    low?: number
  }[]
}

/** What a reset would do: the events that would be handled again, or skipped. */
export interface ResetDryRun {
  again: number
  skipped: number
  /** There may be more. */
  more: boolean
  partitions: { partition: number; from?: number; to?: number; again: number; skipped: number; more: boolean }[]
}

/** A dead letter of a group. Of an event of another tenant, only its kind of failure is known. */
export type GroupDeadLetter =
  | (DeadLetter & { tenant?: undefined })
  | (Pick<DeadLetter, 'type' | 'status' | 'attempts' | 'accepted_at' | 'failed_at'> & {
      tenant: string
      failure: Pick<DeadLetter['failure'], 'error_class' | 'component'>
    })

/** Which dead letters of a group are to be replayed or discarded. */
export interface GroupDeadLetterOrder {
  filter: DeadLetterFilter
  reason?: string
}

/** What a replay or a discard of a group would affect. */
export interface GroupDryRun extends DryRun {
  /** There are more than `count`. */
  more: boolean
  /** Those whose events were removed from the log: they cannot be replayed. */
  removed: number
  /** When they were counted. */
  at: string
}

/** As of `Operator`, every method throws RequestFailed on failure. */
export interface GroupOperator {
  /** The newest first. */
  list(page?: PageOptions): Promise<Page<Group>>
  /** `undefined` if there is no such group. */
  get(name: string): Promise<WholeGroup | undefined>
  pause(name: string, reason: string): Promise<void>
  /** `skipLost`: go on behind events that were removed before they were read. Resolves with the partitions where it does. */
  resume(name: string, options?: { skipLost?: boolean }): Promise<number>
  /** Changes nothing. */
  rehearseReset(name: string, to: GroupTarget): Promise<ResetDryRun>
  /** `emit`: whether events that are emitted again are new ones. Resolves with `pending` if no worker has done it yet. */
  reset(name: string, to: GroupTarget, options?: { emit?: 'new' | undefined }): Promise<'done' | 'pending'>
  delete(name: string): Promise<void>
  /** `status` is open, replaying, replayed, discarded or all. */
  deadLetters(
    name: string,
    filter: DeadLetterFilter & { status?: string },
    page?: PageOptions,
  ): Promise<Page<GroupDeadLetter>>
  /** As `Operator.deadLetter`. */
  deadLetter(name: string, id: string, source?: string): Promise<WholeDeadLetter | undefined>
  /** Counts the affected dead letters and changes nothing. */
  rehearse(name: string, action: DeadLetterAction, order: GroupDeadLetterOrder): Promise<GroupDryRun>
  /** Changes up to 1,000. `more`: there may be others that match. */
  change(
    name: string,
    action: DeadLetterAction,
    order: GroupDeadLetterOrder,
  ): Promise<{ changed: number; more: boolean }>
}

export function createGroupOperator({ call, always }: Sending): GroupOperator {
  const at = (name: string, rest = '') => `/v1/groups/${encodeURIComponent(name)}${rest}`
  return {
    list: (page = {}) => always('GET', `/v1/groups${queryOf(page)}`),
    get: (name) => call('GET', at(name)),
    pause: (name, reason) => always('POST', at(name, '/pause'), { reason }),
    async resume(name, { skipLost = false } = {}) {
      const answer = await always<{ skipped_partitions: number }>('POST', at(name, '/resume'), { skip_lost: skipLost })
      return answer.skipped_partitions
    },
    rehearseReset: (name, to) => always('POST', at(name, '/reset'), { to, dry_run: true }),
    async reset(name, to, { emit } = {}) {
      const body = { to, ...(emit && { emit }) }
      return (await always<{ status: 'done' | 'pending' }>('POST', at(name, '/reset'), body)).status
    },
    delete: (name) => always('DELETE', at(name), {}),
    deadLetters: (name, filter, page) => always('GET', at(name, `/dead-letters${queryOf({ ...filter, ...page })}`)),
    deadLetter: (name, id, source) =>
      call('GET', at(name, `/dead-letters/${encodeURIComponent(id)}${queryOf({ source })}`)),
    rehearse: (name, action, order) => always('POST', at(name, `/dead-letters/${action}`), { ...order, dry_run: true }),
    change: (name, action, order) => always('POST', at(name, `/dead-letters/${action}`), order),
  }
}
