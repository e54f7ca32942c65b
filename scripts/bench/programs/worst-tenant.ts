/** A tenant that does its worst, in a process of its own that gets what is left of the processors: it would be on another machine. */
import { setPriority } from 'node:os'
import { planOf, sayReady } from '../load/orders.js'
import { type AttackName, attack, type Target } from '../load/worst-tenant.js'

/** What it attacks, and how. */
export interface WorstTenant {
  target: Target
  names: AttackName[]
}

setPriority(19)
const { target, names } = planOf<WorstTenant>()
attack(target, names)
sayReady()
