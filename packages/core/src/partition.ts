/** Which partition an event belongs to. */

/**
 * The partition of a tenant's key: a number from 0 to `partitions` - 1, the same in every process and release.
 * FNV-1a (Fowler, Noll, Vo) over UTF-16 code units, then the finalizer of MurmurHash3 (A. Appleby),
 * because the low bits of FNV alone spread short keys unevenly.
 */
export function partitionOf(tenantId: string, key: string, partitions: number): number {
  let hash = fnv1a(0x811c9dc5, tenantId)
  hash = fnv1a(hash, '\0')
  hash = fnv1a(hash, key)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  return (hash >>> 0) % partitions
}

function fnv1a(seed: number, text: string): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
