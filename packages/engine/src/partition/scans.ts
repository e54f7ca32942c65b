/**
 * How a partition is read from Postgres: by scans, each in the order of acceptance.
 *
 * The first scan reads the events of all tenants. A tenant that is in the way of the others, because so many of its
 * events come next, gets a scan of its own, and the first goes on without it: order is kept within a tenant only. When
 * its scan is level with the first one, they are united again.
 */
import type { RawEvent } from '@eventflow/core'

export interface Scan {
  /** Whose events it reads; without it, those of all tenants that have no scan of their own. */
  readonly tenantId: string | undefined
  /** Everything of its tenants up to this seq is settled or in hand, and no event can appear below it any more. */
  position: number
  /** How far it has looked. */
  seen: number
  /** The seqs above `position` that were taken up. */
  taken: Set<number>
}

export type Scans = readonly [first: Scan, ...own: Scan[]]

/** Scans of one partition at the most. */
const MAX_SCANS = 8

/** The one scan that there is in the beginning. */
export function startScan(position: number): Scans {
  return [{ tenantId: undefined, position, seen: position, taken: new Set() }]
}

/** Up to here everything is settled or in hand, whosever it is. */
export function positionOf(scans: Scans): number {
  return Math.min(...scans.map(({ position }) => position))
}

/** Moves a scan on, to where everything of its tenants is settled or in hand. */
export function moveOn(scan: Scan, seq: number): void {
  if (seq <= scan.position) return
  scan.position = seq
  for (const taken of scan.taken) if (taken <= seq) scan.taken.delete(taken)
}

/** The tenants that the first scan leaves out. */
export function ownTenants([, ...own]: Scans): string[] {
  return own.map(({ tenantId }) => tenantId!)
}

/**
 * Gives the tenant a scan of its own that has the most of what the first scan has read, if it is more than would be its
 * share. It begins where the first scan is.
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

/** Has the first scan go on for those that `isLevel` says it of; they must have got as far. */
export function unite([first, ...own]: Scans, isLevel: (scan: Scan) => boolean): Scans {
  const level = own.filter((scan) => scan.position === first.position && isLevel(scan))
  for (const { taken } of level) for (const seq of taken) first.taken.add(seq)
  return [first, ...own.filter((scan) => !level.includes(scan))]
}

/** One scan in place of all, from where everything is settled or in hand. */
export function uniteAll(scans: Scans): Scans {
  const position = positionOf(scans)
  return [{ ...scans[0], position, taken: new Set(scans.flatMap(({ taken }) => [...taken])) }]
}
