/** What a tenant notices of a neighbour that does its worst: the time that its requests take, alone and beside each attack. */
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
  /** Of load in each turn. */
  seconds: number
  /** Of its requests, in milliseconds: alone, and beside the neighbour's attacks. */
  turns: { attack: string; alone: Percentiles; beside: Percentiles }[]
}

const RATE = 200
const CONNECTIONS = 32

/** What each of the two may send: with no quota the neighbour might have all that the machine can do. */
const QUOTA = { eventsPerSecond: 250, bytesPerSecond: 1_000_000 }

const ALL = 'all of them at once'

/**
 * Drives a tenant at a fixed rate, in turns alone and beside a neighbour; one attack after the other, and all at once.
 * Rejects when a request of the tenant is refused.
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

/** How many times as long the tenant's p99 is beside its neighbour: beside all attacks at once, to the median of it alone. */
export function wallsRatio({ turns }: Walls): number {
  const alone = spreadOf(turns.map((turn) => turn.alone.p99)).median
  return turns.find(({ attack }) => attack === ALL)!.beside.p99 / alone
}

async function keyOf({ db }: Stack, tenantId: string): Promise<string> {
  await createTenant(db, tenantId, 'bench')
  return (await createApiKey(db, { tenantId, name: 'bench', scopes: [...SCOPES] }, 'bench')).key
}
