/** Filters of events, as operators give them. */

/** An event must match all given fields. */
export interface EventFilter {
  ids?: string[]
  type?: string
  key?: string
  /** For dead letters only: other events have no error class. */
  errorClass?: string
  /** RFC 3339, inclusive. The statement determines which time it applies to. */
  from?: string
  /** RFC 3339, exclusive. */
  to?: string
}

/**
 * Returns the condition that row `e` is of tenant $1 and matches the filter in $2 to $7. `from` and `to` apply to the
 * column `time`. Use it in unnamed statements: they are planned with their values, so unused filters cost nothing.
 */
export function matches(time: string): string {
  return `e.tenant_id = $1 AND ${matchesFilter(time)}`
}

/** As `matches`, for the events of any tenant. */
export function matchesFilter(time: string): string {
  return `
    ($2::uuid[] IS NULL OR e.event_id = ANY($2)) AND ($3::text IS NULL OR e.type = $3)
    AND ($4::text IS NULL OR e.key = $4)
    AND ($5::timestamptz IS NULL OR ${time} >= $5) AND ($6::timestamptz IS NULL OR ${time} < $6)`
}

/** The values of $1 to $7; $7 is the error class. */
export function filterValues(tenantId: string, { ids, type, key, from, to, errorClass }: EventFilter): unknown[] {
  return [tenantId, ids, type, key, from, to, errorClass]
}
