/**
 * The attacking tenant, in a low-priority process that only gets idle processor time: in reality it would be on another
 * machine.
 */
import { setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { planOf, takeOrders } from '../load/orders.js'
import { type AttackName, attack, type Target } from '../load/worst-tenant.js'

/** What it attacks, and how. */
export interface WorstTenant {
  target: Target
  names: AttackName[]
}

setPriority(19)
const { target, names } = planOf<WorstTenant>()
takeOrders(async (order) => {
  if (!('seconds' in order)) throw new TypeError('an attack lasts for a time')
  const { stop } = attack(target, names)
  await delay(order.seconds * 1_000)
  const answers = [...(await stop()).values()].flatMap((statuses) => [...statuses.values()])
  return { events: answers.reduce((sum, count) => sum + count, 0), seconds: order.seconds }
})
