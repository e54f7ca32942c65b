/** Timestamps as text, to the microsecond: a Date has only milliseconds. */

/** The expression that selects a `timestamptz` column in the form that `momentOf` reads. */
export const asMoment = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** As `asMoment`, for a column that counts microseconds since 1970. */
export const microsAsMoment = (column: string) =>
  asMoment(`(timestamptz 'epoch' + ${column} * interval '1 microsecond')`)

/** RFC 3339 in UTC, in the form of core's `readTime`: with three decimals, or six if three would lose precision. */
export const momentOf = (text: string) => (text.endsWith('000Z') ? `${text.slice(0, -4)}Z` : text)
