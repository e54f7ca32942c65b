/** How fast an operation goes: in chunks, each due when those before it have used up their time. */

/** Four chunks a second, or fewer; none larger than Postgres does in some tens of milliseconds. */
const CHUNKS_A_SECOND = 4
const MAX_CHUNK = 500

/** How many events the next chunk may hold, at so many events a second. */
export function chunkSize(rate: number): number {
  return Math.min(Math.ceil(rate / CHUNKS_A_SECOND), MAX_CHUNK)
}

/**
 * When the next chunk is due, after one that was due at `dueAt`, began at `startedAt` and changed so many events; in
 * milliseconds on the same clock. Time that was lost, because Postgres was slow or away, is not made up for.
 */
export function nextChunkAt(dueAt: number, startedAt: number, changed: number, rate: number): number {
  return Math.max(dueAt, startedAt) + (changed * 1_000) / rate
}
