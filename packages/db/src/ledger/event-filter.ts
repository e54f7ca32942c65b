/** Which events a person means. */

/** Every part that is given must hold. */
export interface EventFilter {
  ids?: string[]
  type?: string
  key?: string
  /** Of dead letters only: no other event has one. */
  errorClass?: string
  /** RFC 3339, included. What time it is about, the statement says. */
  from?: string
  /** RFC 3339, not included. */
  to?: string
}

/**
 * The condition that row `e` is of tenant $1 and matches the filter in $2 to $7; `time` is the column that `from` and `to`
 * are about. For statements without a name: they are planned with their values, so that what is not asked for costs nothing.
 */
export function matches(time: string): string {
  return `
    e.tenant_id = $1 AND ($2::uuid[] IS NULL OR e.event_id = ANY($2)) AND ($3::text IS NULL OR e.type = $3)
    AND ($4::text IS NULL OR e.key = $4)
    AND ($5::timestamptz IS NULL OR ${time} >= $5) AND ($6::timestamptz IS NULL OR ${time} < $6)`
}

/** The values of $1 to $7; $7 is the error class. */
export function filterValues(tenantId: string, { ids, type, key, from, to, errorClass }: EventFilter): unknown[] {
  return [tenantId, ids, type, key, from, to, errorClass]
}
