/** The log's reader: pages of processed events in their order, and the positions that a group has handled. */
import { notOurServer, problemOf, reasonToRetry } from './answer.js'
import type { ClientOptions } from './client.js'
import { RequestFailed } from './failure.js'
import { type Answer, createConnection, type Reply } from './http.js'
import { DEFAULT_RETRY_POLICY, type RetryPolicy, retrying } from './retry.js'

/** Which events are read, and from where on. */
export interface LogQuery {
  /** Only events of these types; all by default. */
  type?: string | readonly string[] | undefined
  /**
   * `earliest` (the default), `latest`, a time in RFC 3339, `next` of a page, or with `partition` the `position` of an
   * event. Not with `group`.
   */
  from?: string | undefined
  /** Reads on from what this group has committed. */
  group?: string | undefined
  /** Only this partition; all by default. */
  partition?: number | undefined
  /** The most events of a page, 1 to 1000; the default is 100. */
  limit?: number | undefined
}

/** An event of the log. */
export interface LogEvent {
  id: string
  /** The id that it was sent with, if it differs from `id`. */
  external_id?: string
  type: string
  source: string
  time: string
  partitionkey: string
  partition: number
  /** Of this event in its partition. */
  position: string
  correlationid: string
  causationid?: string
  traceparent?: string
  extensions?: Record<string, unknown>
  accepted_at: string
  processed_at: string
  /** As processed: with enrichment and defaults. */
  data: Record<string, unknown>
}

/** A page of the log. */
export interface LogPage {
  items: LogEvent[]
  /** Where the next page begins; always there. */
  next: string
  /** There may be further events now, even if this page has none. */
  more: boolean
  /** If it was asked for from an earlier time on: when the first event of the log was processed. */
  begins_at?: string
}

/** What a group has handled: a page, or the last event of some partitions. */
export interface LogCommit {
  /** `next` of the last page that was handled. */
  next?: string
  /** By partition, `position` of the last event that was handled. */
  positions?: Record<number, string>
  /** Creates the group if there is none: `earliest`, `latest`, or a time in RFC 3339, for partitions without a position. */
  from?: string
  /** Positions may go back; with `from`, partitions without a position go there. */
  reset?: boolean
}

/** How far a group has read. */
export interface GroupPositions {
  name: string
  /** Why it is paused. */
  paused_for?: string
  /** All positions, for `from` of a query. */
  next: string
  partitions: {
    partition: number
    position: string
    /** The events after it that were counted. */
    lag: number
    /** There may be further ones. */
    lag_is_more: boolean
    lag_seconds: number
    /** Retention has removed events after the position: the group cannot read on. */
    removed?: boolean
  }[]
}

/** How `log` reads. */
export interface FollowOptions {
  /** Goes on at the end of the log, and waits for further events, until `signal` is aborted. */
  follow?: boolean
  signal?: AbortSignal
}

export interface LogReader {
  /**
   * One page. With `waitMs`, it comes once it has an event, at the latest after that time, up to a minute.
   * @throws {RequestFailed}
   */
  page(query?: LogQuery, options?: { waitMs?: number; signal?: AbortSignal }): Promise<LogPage>
  /**
   * One page after the other to the end of the log, and with `follow` beyond it; pages without events are passed over,
   * but the last one of a log that was read to its end. After an error, another iteration continues from the `next` of
   * the last page that was handled.
   * @throws {RequestFailed}
   */
  log(query?: LogQuery, options?: FollowOptions): AsyncGenerator<LogPage, void, undefined>
  /**
   * Records what a group has handled. Positions never go back, unless `reset` is true: commit after the work, and after
   * a crash the group gets again what it has not committed. Resolves with its positions.
   * @throws {RequestFailed}
   */
  commitPositions(group: string, commit: LogCommit): Promise<Record<string, string>>
  /** How far a group has read; `undefined` if there is no such group. @throws {RequestFailed} */
  groupPositions(group: string): Promise<GroupPositions | undefined>
  /** Waits for the requests in flight and closes the connections. */
  close(): Promise<void>
}

/** How long a request of `log` waits for events, and the longest that a server waits, in milliseconds. */
const FOLLOW_MS = 30_000
const MAX_WAIT_MS = 60_000

/**
 * Creates a reader of the log of the server at `url`; sends nothing yet. Requests are retried as those of a client.
 * @throws {TypeError} when `url` is not valid
 */
export function createLogReader(options: ClientOptions): LogReader {
  const policy: RetryPolicy = { ...DEFAULT_RETRY_POLICY, ...options }
  const connection = createConnection(options)

  async function ask(request: Parameters<typeof connection.exchange>[0]): Promise<Answer> {
    let reply!: Reply
    const attempt = async () => {
      reply = await connection.exchange(request)
      return reasonToRetry(reply)
    }
    const gaveUp = await retrying(attempt, policy, request.signal ?? undefined)
    if (gaveUp) throw gaveUp
    return reply as Answer
  }

  async function page(query: LogQuery = {}, { waitMs = 0, signal }: { waitMs?: number; signal?: AbortSignal } = {}) {
    const path = `/v1/log${queryOf(query, waitMs)}`
    const found = contentOf(await ask({ method: 'GET', path, waitMs, signal })) as LogPage
    if (!Array.isArray(found?.items) || typeof found.next !== 'string') throw new RequestFailed(notOurServer(found), 1)
    return found
  }

  return {
    page,
    async *log(query = {}, { follow = false, signal } = {}) {
      const { group: _, from: __, ...rest } = query
      let waitMs = 0
      for (let asked = query; !signal?.aborted; ) {
        const read = await page(asked, { waitMs, ...(signal && { signal }) }).catch((error) => {
          if (signal?.aborted) return undefined
          throw error
        })
        if (!read) return
        const isEnd = !read.more && !follow
        if (read.items.length > 0 || isEnd) yield read
        if (isEnd) return
        waitMs = read.more ? 0 : FOLLOW_MS
        asked = { ...rest, from: read.next }
      }
    },
    async commitPositions(group, commit) {
      const body = JSON.stringify(commit)
      const path = `/v1/groups/${encodeURIComponent(group)}/positions`
      return (contentOf(await ask({ method: 'PUT', path, body })) as { positions: Record<string, string> }).positions
    },
    async groupPositions(group) {
      const answer = await ask({ method: 'GET', path: `/v1/groups/${encodeURIComponent(group)}/positions` })
      if (problemOf(answer).code === 'group-not-found') return undefined
      return contentOf(answer) as GroupPositions
    },
    close: () => connection.close(),
  }
}

function contentOf(answer: Answer): unknown {
  if (answer.status >= 300) throw new RequestFailed({ problem: problemOf(answer) }, 1)
  return answer.body
}

function queryOf({ type, ...rest }: LogQuery, waitMs: number): string {
  const parts = new URLSearchParams()
  for (const one of type === undefined ? [] : [type].flat()) parts.append('type', one as string)
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) parts.append(name, String(value))
  if (waitMs > 0) parts.append('wait', `${Math.min(Math.ceil(waitMs), MAX_WAIT_MS)}ms`)
  return parts.size === 0 ? '' : `?${parts}`
}
