/** A queue that tenants share: they have their turn one after the other, and what each has put in keeps its order. */

export interface FairQueue<Item> {
  add(tenantId: string, item: Item): void
  /** Takes what comes next, of a size of `max` in all; one item in any case, unless there is none. */
  take(max: number): Item[]
  /** Of all that is in it. */
  size(): number
}

/** `sizeOf` an item has to stay the same. */
export function createFairQueue<Item>(sizeOf: (item: Item) => number): FairQueue<Item> {
  // The tenant that had its last turn the longest ago comes first.
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
      // What is set again comes last, and the loop comes to it there.
      byTenant.delete(tenantId)
      if (own.length > 0) byTenant.set(tenantId, own)
    }
    total -= size
    return taken
  }

  return { add, take, size: () => total }
}
