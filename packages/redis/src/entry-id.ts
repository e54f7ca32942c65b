/** Ids of stream entries: milliseconds of the server's clock, and a counter within the millisecond. */

/** Smaller than the id of any entry. */
export const NO_ENTRY_ID = '0-0'

/** Whether the entry with id `a` was added after the one with id `b`. */
export function isLaterEntry(a: string, b: string): boolean {
  const [[timeA, countA], [timeB, countB]] = [a, b].map((id) => id.split('-').map(Number)) as [number[], number[]]
  return timeA! > timeB! || (timeA === timeB && countA! > countB!)
}
