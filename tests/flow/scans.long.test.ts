/**
 * Reading from Postgres, for any pattern of tenants and times: each event once, each tenant's in order, none missed.
 */
import { connect, type Db, readFinalSeqs } from '@eventflow/db'
import { newMemory, newPartition, type PartitionIn, positionOf, takeUpNext } from '@eventflow/engine'
import { createWorkerMetrics } from '@eventflow/runtime'
import { administer, createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'

const PARTITION = 3
/** The number of events of other partitions between two events of this one. */
const STRIDE = 20
const metrics = createWorkerMetrics('test', [])
let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 2, onIdleError: () => {} })
})

afterAll(() => db.end())

/** What happens between reads: events of several tenants are accepted, some of them with seqs drawn long before. */
const step = fc.record({
  firstTenant: fc.integer({ min: 0, max: 5 }),
  tenants: fc.integer({ min: 1, max: 24 }),
  events: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 20 }) }, fc.integer({ min: 200, max: 900 })),
  late: fc.integer({ min: 0, max: 3 }),
  /** How many quarters of the events accepted so far are final. */
  final: fc.integer({ min: 0, max: 4 }),
  settled: fc.boolean(),
  looks: fc.integer({ min: 0, max: 3 }),
})

/** Four tenants with more than a slice each need several scans, for any other values. */
const FOUR_AT_ONCE = { firstTenant: 0, tenants: 4, events: 3_000, late: 0, final: 4, settled: true, looks: 3 }

test('several scans read every event once, in order, and their position passes none', async () => {
  let mostScans = 1
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      await administer('TRUNCATE raw_events, processed_events', db.options.connectionString!)
      const memory = newMemory(0, ({ event }) => event.id)
      const partition: PartitionIn<'postgres'> = {
        ...newPartition({ partition: PARTITION, epoch: 1 }, 0),
        state: { source: 'postgres', memory, reason: 'first start', caughtUp: 0, target: undefined },
      }
      const taken: { seq: number; tenantId: string }[] = []
      let next = 1

      const accept = async (seqs: readonly number[], tenantOf: (seq: number) => string) => {
        await db.query(
          `INSERT INTO raw_events (seq, tenant_id, event_id, type, source, key, partition, occurred_at, correlation_id, payload)
           SELECT seq, tenant, gen_random_uuid(), 't', '/', 'k', $1, now(), 'c', '{}'
           FROM unnest($2::bigint[], $3::text[]) AS e(seq, tenant)`,
          [PARTITION, seqs, seqs.map(tenantOf)],
        )
      }
      const look = async () => {
        memory.final = { seq: 0, readAt: Number.NEGATIVE_INFINITY }
        const { deliveries } = await takeUpNext([partition], true, { db, metrics })
        mostScans = Math.max(mostScans, memory.scans.length)
        taken.push(...deliveries.map(({ event }) => event))
        // Nothing up to the position is left to be taken, and nothing can appear there any more.
        const inHand = taken.map(({ seq }) => seq)
        const { rows } = await db.query('SELECT seq FROM raw_events WHERE seq <= $1 AND seq <> ALL($2::bigint[])', [
          positionOf(memory.scans),
          inHand,
        ])
        expect(rows).toEqual([])
        const [final] = await readFinalSeqs(db, [PARTITION])
        expect(positionOf(memory.scans)).toBeLessThanOrEqual(final!)
        return deliveries.length
      }

      for (const { firstTenant, tenants, events, late, final, settled, looks } of steps) {
        const drawn = Array.from({ length: events + late }, () => next++ * STRIDE)
        await accept(drawn.slice(late), (seq) => `${firstTenant + ((seq / STRIDE) % tenants)}`)
        if (late === 0) {
          await db.query(`UPDATE raw_events SET accepted_at = now() - interval '1 minute' WHERE seq < $1`, [
            Math.ceil((next * STRIDE * final) / 4),
          ])
        }
        for (let i = 0; i < looks; i++) await look()
        if (settled) {
          await db.query(
            `INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                           correlation_id, accepted_at, processing_ms)
             SELECT tenant_id, event_id, seq, type, key, partition, '{}', 1, 'w', 'c', now(), 1 FROM raw_events
             WHERE seq = ANY($1::bigint[]) ON CONFLICT DO NOTHING`,
            [taken.map(({ seq }) => seq)],
          )
        }
        // The first seqs drawn are committed last, by another tenant.
        await accept(drawn.slice(0, late), () => 'late')
      }
      await db.query(`UPDATE raw_events SET accepted_at = now() - interval '1 minute'`)
      let quiet = 0
      while (quiet < 3) quiet = (await look()) === 0 ? quiet + 1 : 0

      expect(taken.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(
        Array.from({ length: next - 1 }, (_, i) => (i + 1) * STRIDE),
      )
      for (const tenant of new Set(taken.map(({ tenantId }) => tenantId))) {
        const seqs = taken.filter(({ tenantId }) => tenantId === tenant && tenant !== 'late').map(({ seq }) => seq)
        expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
      }
      expect(memory.scans).toHaveLength(1)
      expect(positionOf(memory.scans)).toBe((next - 1) * STRIDE)
    }),
    { numRuns: 15, examples: [[[FOUR_AT_ONCE]]] },
  )
  expect(mostScans).toBeGreaterThan(2)
}, 120_000)
