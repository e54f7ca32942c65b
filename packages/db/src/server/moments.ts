/** Moments as text, to the microsecond: a Date has no more than milliseconds. */

/** What a statement selects of a column of `timestamptz` for `momentOf` to read. */
export const asMoment = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/**
 * RFC 3339 in UTC, in the form that core's `readTime` gives: with three digits of a second, or six where three would
 * lose some.
 */
export const momentOf = (text: string) => (text.endsWith('000Z') ? `${text.slice(0, -4)}Z` : text)
