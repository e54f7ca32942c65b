/** Lists of the operator's client: pages, filters, and the dead letters in them. */

/** One page of a list, and the cursor of the next one; `null` on the last. */
export interface Page<Item> {
  items: Item[]
  next: string | null
}

/** Selects a page of a list. */
export interface PageOptions {
  /** 1 to 1000. */
  limit?: number
  /** `next` of the previous page. */
  cursor?: string | undefined
}

/** All given conditions must hold; times are RFC 3339. */
export interface EventSearch {
  id?: string | undefined
  correlation_id?: string | undefined
  type?: string | undefined
  key?: string | undefined
  status?: string | undefined
  from?: string | undefined
  to?: string | undefined
}

/** Selects dead letters; `from` and `to` limit the time of failure. */
export interface DeadLetterFilter extends Pick<EventSearch, 'type' | 'key' | 'from' | 'to'> {
  ids?: string[]
  error_class?: string
}

export interface DeadLetter {
  id: string
  type: string
  partitionkey: string
  correlationid: string
  status: string
  attempts: number
  accepted_at: string
  failed_at: string
  failure: { error_class: string; message: string; component: string }
  resolved_at?: string
  resolved_by?: string
  reason?: string
}

/** A dead letter with its data and every attempt. */
export interface WholeDeadLetter extends DeadLetter {
  failure: DeadLetter['failure'] & { errors: { pointer: string; message: string }[] }
  history: { at: string; attempt: number; component: string; errorClass: string; message: string }[]
  data: Record<string, unknown>
}

/** What an operation would affect. */
export interface DryRun {
  count: number
  samples: {
    id: string
    type: string
    partitionkey: string
    accepted_at: string
    error_class?: string
    message?: string
  }[]
}

export type DeadLetterAction = 'replay' | 'discard'

/** The query of a URL, with the given parts that have a value. */
export function queryOf(parts: object): string {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined)
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(Object.fromEntries(given.map(([name, value]) => [name, String(value)])))}`
}
