/**
 * Operators replay, discard and skip at any moment, with handlers that fail often: each event is still settled once.
 */
import { defineEvent, PermanentError, TransientError, Type } from '@eventflow/sdk'
import { createRandom, startOperators, startPipeline, until } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

const EVENTS = 160
const KEYS = 20

/** Fails about one time in six, after its effect. */
function failing(seed: number) {
  const random = createRandom(seed)
  return defineEvent({
    type: 'step.done',
    schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
    key: (data) => data.key,
    retry: { attempts: 3, baseDelayMs: 20, maxDelayMs: 40 },
    async handle({ id, data }, tx) {
      await tx.query('INSERT INTO effects (event_id, n) VALUES ($1, $2)', [id, data.n])
      const draw = random.between(0, 19)
      if (draw < 2) throw new TransientError('not now')
      if (draw < 3) throw new PermanentError('never')
    },
    prepare: async (tx) => {
      await tx.query('CREATE TABLE effects (id integer GENERATED ALWAYS AS IDENTITY, event_id uuid, n integer)')
    },
  })
}

test.each([1])(
  'each event has one final state, and its effects once if it was processed (seed %i)',
  async (seed) => {
    const pipeline = await startPipeline([failing(seed)])
    const { db } = pipeline
    await pipeline.startWorker('one')
    await pipeline.startWorker('two')
    const operators = startOperators({ urls: [pipeline.url], random: createRandom(seed), everyMs: 20 })
    for (let n = 0; n < EVENTS; n += 20) {
      const events = Array.from({ length: 20 }, (_, i) => ({
        type: 'step.done',
        data: { key: `key ${(n + i) % KEYS}`, n: n + i },
      }))
      await pipeline.send(events)
    }
    await until('operators have done some of each', () => Object.values(operators.done).every((times) => times >= 1))
    await operators.stop()
    await until('their operations have ended', async () => {
      const { rows } = await db.query(`SELECT FROM operations WHERE status = 'running'`)
      return rows.length === 0
    })
    await pipeline.drained(20_000)
    const { rows } = await db.query(`
    SELECT r.seq, p.seq IS NOT NULL AS processed, f.status, w.attempts AS waits,
           (SELECT count(*)::integer FROM effects e WHERE e.event_id = r.event_id) AS effects
    FROM raw_events r
    LEFT JOIN processed_events p USING (tenant_id, event_id)
    LEFT JOIN failed_events f USING (tenant_id, event_id)
    LEFT JOIN retries w USING (tenant_id, event_id)
    ORDER BY r.seq`)
    expect(rows).toHaveLength(EVENTS)
    const isSound = ({ processed, status, waits, effects }: (typeof rows)[number]) =>
      waits === null &&
      effects === (processed ? 1 : 0) &&
      (processed ? status === null || status === 'replayed' : status === 'open' || status === 'discarded')
    expect(rows.filter((row) => !isSound(row))).toEqual([])
    await pipeline.stop()
  },
  60_000,
)
