/** The pace of an operation: in chunks, each due when the time of the previous ones is used up. */

/** Four chunks a second, or fewer; each small enough for Postgres to do in some tens of milliseconds. */
const CHUNKS_A_SECOND = 4
const MAX_CHUNK = 500

/** Returns the most events of the next chunk at a rate in events a second. */
export function chunkSize(rate: number): number {
  return Math.min(Math.ceil(rate / CHUNKS_A_SECOND), MAX_CHUNK)
}

/**
 * Returns when the next chunk is due, after one that was due at `dueAt`, began at `startedAt` and changed `changed`
 * events; in milliseconds on the same clock. Lost time, because Postgres was slow or away, is not made up for.
 */
export function nextChunkAt(dueAt: number, startedAt: number, changed: number, rate: number): number {
  return Math.max(dueAt, startedAt) + (changed * 1_000) / rate
}
