/** The effect of an attacking tenant on another: the other's request times, alone and during each attack. */
import { createApiKey, createTenant, SCOPES, setQuota } from '@eventflow/db'
import { USERS } from '../load/order-events.js'
import { ATTACKS, type AttackName } from '../load/worst-tenant.js'
import type { HttpLoad } from '../programs/http-load.js'
import type { WorstTenant } from '../programs/worst-tenant.js'
import type { Stack } from '../stack.js'
import { type Percentiles, spreadOf } from '../statistics.js'
import type { Terminal } from '../terminal.js'
import { startPrograms } from '../variants/eventflow.js'
import { programFile } from '../variants/program-file.js'

export interface Walls {
  /** Single events a second that the tenant sends. */
  rate: number
  /** Duration of the load in each turn. */
  seconds: number
  /** Of its requests, in milliseconds: alone, and during the attacks. */
  turns: { attack: string; alone: Percentiles; beside: Percentiles }[]
}

const RATE = 200
const CONNECTIONS = 32

/** The quota of each of the two: without one, the attacker could use the whole capacity of the machine. */
const QUOTA = { eventsPerSecond: 250, bytesPerSecond: 1_000_000 }

const ALL = 'all of them at once'

/**
 * Sends one tenant's load at a fixed rate, alternating alone and attacked; first with one attack after the other, then
 * with all at once. Rejects if a request of the tenant is refused.
 */
export async function measureWalls(stack: Stack, seconds: number, { say, now }: Terminal): Promise<Walls> {
  await stack.reset()
  try {
    const { urls } = await startPrograms(stack, { guarded: true })
    const [url] = urls as [string]
    const [key, worst] = [await keyOf(stack, 'quiet'), await keyOf(stack, 'worst')]
    for (const tenantId of ['quiet', 'worst']) await setQuota(stack.db, tenantId, QUOTA, 'bench')
    const plan: HttpLoad = {
      ...{ type: 'bench.plain', batch: 1, ndjson: false, users: USERS, urls, key, connections: CONNECTIONS },
    }
    const generator = await stack.start('generator', programFile('http-load'), { plan })
    const drive = async () => (await generator.order({ seconds, rate: RATE })).latency!
    now('warming up')
    await drive()
    const turns: Walls['turns'] = []
    for (const name of [...(Object.keys(ATTACKS) as AttackName[]), ALL]) {
      const names = name === ALL ? (Object.keys(ATTACKS) as AttackName[]) : [name as AttackName]
      const given: WorstTenant = { target: { url, key: worst }, names }
      const neighbour = await stack.start('neighbour', programFile('worst-tenant'), { plan: given })
      now(`alone, before: ${name}`)
      const alone = await drive()
      now(name)
      const [beside] = await Promise.all([drive(), neighbour.order({ seconds })])
      await neighbour.stop()
      turns.push({ attack: name, alone, beside })
      say(`${name.padEnd(30)}  p99 ${alone.p99.toFixed(1)} ms alone, ${beside.p99.toFixed(1)} ms beside`)
    }
    return { rate: RATE, seconds, turns }
  } finally {
    await stack.stopPrograms()
  }
}

/** The ratio of the tenant's p99 during all attacks at once to the median of its p99 alone. */
export function wallsRatio({ turns }: Walls): number {
  const alone = spreadOf(turns.map((turn) => turn.alone.p99)).median
  return turns.find(({ attack }) => attack === ALL)!.beside.p99 / alone
}

async function keyOf({ db }: Stack, tenantId: string): Promise<string> {
  await createTenant(db, tenantId, 'bench')
  return (await createApiKey(db, { tenantId, name: 'bench', scopes: [...SCOPES] }, 'bench')).key
}
