/**
 * `eventflow tail`: shows events as they arrive, and again when their status changes. For people; it may skip events,
 * so do not build on it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type EventSearch, type ListedEvent, type Operator, RequestFailed } from '@eventflow/client'
import { oneLine } from '../table.js'
import type { ShowOptions } from './show.js'

const EVERY_MS = 1_000
/** Events accepted longer ago than this are not checked again, in milliseconds. */
const LOOK_BACK_MS = 60_000
const PAGE = 1_000
/** The most pages in one poll: at a rate above this many pages a second, some events are not shown. */
const MAX_PAGES = 10
/** The most remembered lines, so that memory is bounded. */
const REMEMBERED = 100_000

export interface TailOptions extends ShowOptions {
  /** How many existing events are shown first. */
  last: number
  stop: AbortSignal
}

/** Statuses of few events: the service finds them quickly, no matter when they were accepted. */
const FEW = ['retrying', 'failed', 'discarded']

/**
 * Prints matching events until it is stopped. Resolves with exit code 0. Rejects if the service does not answer at the
 * start.
 */
export async function tail(operator: Operator, search: EventSearch, options: TailOptions): Promise<number> {
  const { last, json, print, note, stop } = options
  const show = (event: ListedEvent) => print(json ? JSON.stringify(event) : line(event))
  const isFew = FEW.includes(search.status ?? '')
  const known = new Set<string>()
  const isNew = (event: ListedEvent) => !known.has(stateOf(event))

  const { items, next } = await operator.events(search, { limit: PAGE })
  for (const event of items) known.add(stateOf(event))
  for (const event of items.slice(0, last).reverse()) show(event)
  let newest = items[0]?.accepted_at ?? new Date().toISOString()
  /** Events accepted before are not shown. */
  const floor = next === null ? '' : (items.at(-1)?.accepted_at ?? newest)

  /** Resolves with new events and changes, the last accepted first. */
  async function look(): Promise<ListedEvent[]> {
    const from = isFew ? undefined : new Date(Date.parse(newest) - LOOK_BACK_MS).toISOString()
    const found: ListedEvent[] = []
    let cursor: string | undefined
    for (let pages = 1; ; pages++) {
      const page = await operator.events({ ...search, ...(from && { from }) }, { limit: PAGE, cursor })
      const fresh = page.items.filter((event) => isNew(event) && (isFew || event.accepted_at >= floor))
      found.push(...fresh)
      if (isFew || page.next === null || fresh.length === 0) return found
      if (pages === MAX_PAGES) {
        note(`More than ${MAX_PAGES * PAGE} events at once: some are skipped. Filter with --type, --key or --status.`)
        return found
      }
      cursor = page.next
    }
  }

  let isAway = false
  while (!stop.aborted) {
    await delay(EVERY_MS, undefined, { signal: stop }).catch(() => {})
    if (stop.aborted) break
    try {
      const found = await look()
      isAway = false
      for (const event of found.reverse()) {
        known.add(stateOf(event))
        if (event.accepted_at > newest) newest = event.accepted_at
        show(event)
      }
      for (const state of known) {
        if (known.size <= REMEMBERED) break
        known.delete(state)
      }
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error
      if (!isAway) note(`No answer (${error.message}); trying again.`)
      isAway = true
    }
  }
  return 0
}

/** The state of an event, to detect changes. */
const stateOf = ({ id, status, attempts, settled_at }: ListedEvent) => `${id} ${status} ${attempts} ${settled_at ?? ''}`

function line(event: ListedEvent): string {
  const { accepted_at, settled_at, status, type, partitionkey, id, external_id, error_class, message } = event
  const wrong = error_class ? `  ${error_class}: ${message}` : ''
  return oneLine(
    `${settled_at ?? accepted_at}  ${status.padEnd(9)}  ${type}  ${partitionkey}  ${external_id ?? id}${wrong}`,
  )
}
