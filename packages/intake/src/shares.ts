/**
 * Something bounded that tenants share so that none can have all of it: a tenant may hold three times as much as is
 * left. Alone it comes to three quarters; what others take makes its part smaller, and there is always room for one
 * more. (Dynamic thresholds: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
 * 1998.)
 */

const PARTS = 3

export interface Shares {
  /**
   * Takes an amount for a tenant, and gives whether it may have it. `had` is what the same taker has already: the only
   * one that has anything gets all it asks for, since what is larger than there is would never fit.
   */
  take(tenantId: string, amount: number, had?: number): boolean
  give(tenantId: string, amount: number): void
}

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
