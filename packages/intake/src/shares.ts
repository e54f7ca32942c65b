/**
 * Shares a bounded resource among tenants so that no tenant can take all of it: a tenant may hold at most three times
 * what is left. Alone it gets three quarters. The more others take, the smaller its share, and there is always room for
 * one more tenant. (Dynamic thresholds: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
 * switches", 1998.)
 */

const PARTS = 3

export interface Shares {
  /**
   * Takes an amount for a tenant. Returns false if the tenant may not have it. `had` is what the same caller has
   * already taken. A caller that is the only one to hold anything always gets it: a request larger than the total would
   * otherwise never succeed.
   */
  take(tenantId: string, amount: number, had?: number): boolean
  give(tenantId: string, amount: number): void
}

/** Creates the shares of a resource of size `total`, in any unit. */
export function createShares(total: number): Shares {
  const held = new Map<string, number>()
  let used = 0

  function take(tenantId: string, amount: number, had = 0): boolean {
    const own = (held.get(tenantId) ?? 0) + amount
    if (used > had && own > PARTS * (total - used - amount)) return false
    held.set(tenantId, own)
    used += amount
    return true
  }

  function give(tenantId: string, amount: number): void {
    const own = held.get(tenantId)! - amount
    if (own > 0) held.set(tenantId, own)
    else held.delete(tenantId)
    used -= amount
  }

  return { take, give }
}
