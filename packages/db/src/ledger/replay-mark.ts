/** How a replay is recorded in the history of an event. */

/**
 * The expression of a mark for `history`: an attempt with the number 0. The attempts after it count from 1 again.
 * `message`: an SQL expression.
 */
export const replayMark = (message: string) => `
  jsonb_build_object('attempt', 0, 'at', ${rfc3339('now()')}, 'component', 'replay', 'errorClass', 'Replay',
                     'message', ${message})`

/** The expression of a time as RFC 3339, with milliseconds. */
export function rfc3339(time: string): string {
  return `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}
