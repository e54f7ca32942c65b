/** A queue that tenants share. Tenants take turns, and the items of each tenant keep their order. */

export interface FairQueue<Item> {
  add(tenantId: string, item: Item): void
  /**
   * Removes and returns the next items, up to a total size of `max`, but at least one item unless the queue is empty.
   */
  take(max: number): Item[]
  /** The total size of the queued items. */
  size(): number
}

/** Creates a queue. `sizeOf` must always return the same size for an item. */
export function createFairQueue<Item>(sizeOf: (item: Item) => number): FairQueue<Item> {
  // Ordered by the last turn: the tenant whose turn was longest ago comes first.
  const byTenant = new Map<string, Item[]>()
  let total = 0

  function add(tenantId: string, item: Item): void {
    const own = byTenant.get(tenantId)
    if (own) own.push(item)
    else byTenant.set(tenantId, [item])
    total += sizeOf(item)
  }

  function take(max: number): Item[] {
    const taken: Item[] = []
    let size = 0
    for (const [tenantId, own] of byTenant) {
      const next = own[0]!
      if (taken.length > 0 && size + sizeOf(next) > max) break
      taken.push(next)
      size += sizeOf(next)
      own.shift()
      // Deleting and setting again moves the tenant to the end, where the loop will reach it again.
      byTenant.delete(tenantId)
      if (own.length > 0) byTenant.set(tenantId, own)
    }
    total -= size
    return taken
  }

  return { add, take, size: () => total }
}
