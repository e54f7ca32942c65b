/**
 * How a partition is read from Postgres: by scans, each in the order of acceptance.
 *
 * The first scan reads the events of all tenants. A tenant with so many of the next events that it delays the others
 * gets a separate scan, and the first continues without it: order is kept within a tenant only. When the separate scan
 * has reached the same position as the first, they are united.
 */
import type { RawEvent } from '@eventflow/core'

export interface Scan {
  /**
   * The tenant whose events it reads. Undefined for the first scan, which reads all tenants without a separate scan.
   */
  readonly tenantId: string | undefined
  /** Every event of its tenants up to this seq is settled or in memory, and no event can appear below it any more. */
  position: number
  /** The highest seq that it has read. */
  seen: number
  /** The seqs above `position` that were read into memory. */
  taken: Set<number>
}

export type Scans = readonly [first: Scan, ...own: Scan[]]

/** The most scans of one partition. */
const MAX_SCANS = 8

/** Returns the single scan of a partition that begins. */
export function startScan(position: number): Scans {
  return [{ tenantId: undefined, position, seen: position, taken: new Set() }]
}

/** Returns the seq up to which the events of all tenants are settled or in memory. */
export function positionOf(scans: Scans): number {
  return Math.min(...scans.map(({ position }) => position))
}

/** Moves a scan to `seq`, up to which every event of its tenants must be settled or in memory. */
export function moveOn(scan: Scan, seq: number): void {
  if (seq <= scan.position) return
  scan.position = seq
  for (const taken of scan.taken) if (taken <= seq) scan.taken.delete(taken)
}

/** Returns the tenants that the first scan leaves out. */
export function ownTenants([, ...own]: Scans): string[] {
  return own.map(({ tenantId }) => tenantId!)
}

/**
 * Gives a separate scan to the tenant with the most events in `read` (what the first scan has read), if it has more
 * than a fair share of them. The new scan begins where the first one is.
 */
export function divide(scans: Scans, read: readonly RawEvent[]): Scans {
  if (scans.length === MAX_SCANS) return scans
  const counts = new Map<string, number>()
  for (const { tenantId } of read) counts.set(tenantId, (counts.get(tenantId) ?? 0) + 1)
  const [tenantId, most] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))
  if (most <= read.length / MAX_SCANS) return scans
  const [first] = scans
  return [...scans, { ...first, tenantId, taken: new Set(first.taken) }]
}

/** Unites with the first scan those at the same position for which `isLevel` returns true. */
export function unite([first, ...own]: Scans, isLevel: (scan: Scan) => boolean): Scans {
  const level = own.filter((scan) => scan.position === first.position && isLevel(scan))
  for (const { taken } of level) for (const seq of taken) first.taken.add(seq)
  return [first, ...own.filter((scan) => !level.includes(scan))]
}

/** Returns one scan in place of all, at the lowest of their positions. */
export function uniteAll(scans: Scans): Scans {
  const position = positionOf(scans)
  return [{ ...scans[0], position, taken: new Set(scans.flatMap(({ taken }) => [...taken])) }]
}
