/**
 * The consumer group of the fault tests. Its effects are written to a table that would show every duplicate.
 *
 * It obeys the moods of an event that begin with `group`: *fails once* in a process; *refuses*, which makes a dead letter
 * of the group; *needs the source*: waits while a row in `source_away` says so.
 */
import { defineConsumer, PermanentError, type Sql, UnavailableError } from '@eventflow/sdk'
import { failOnce } from './_handler-moods.js'
import type { StepEvent } from './_step.js'

const MOODS: Record<string, (event: StepEvent, tx: Sql) => unknown> = {
  'group fails once': failOnce,
  'group refuses': () => {
    throw new PermanentError('the group will not')
  },
  'group needs the source': async (_, tx) => {
    if ((await tx.query('SELECT FROM source_away')).length > 0) throw new UnavailableError('the source')
  },
}

export default defineConsumer({
  name: 'fault-group',
  events: ['fault.step', 'fault.handled', 'fault.leading', 'fault.derived'],
  from: 'earliest',
  // An event fails once in each process, and there may be many.
  retry: { attempts: 20, baseDelayMs: 200, maxDelayMs: 1_000 },
  // Only the position has a unique constraint: a second effect of an event must be seen, not prevented.
  prepare: async (tx) => {
    await tx.query(`
      CREATE TABLE IF NOT EXISTS group_effects (
        at bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seq bigint NOT NULL,
        tenant_id text NOT NULL, event_id uuid NOT NULL, key text NOT NULL, partition smallint NOT NULL)`)
  },
  handleBatch: async (events: readonly StepEvent[], tx) => {
    await tx.query(
      `INSERT INTO group_effects (seq, tenant_id, event_id, key, partition)
       SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[], $5::smallint[])`,
      [
        events.map(({ seq }) => seq),
        events.map(({ tenantId }) => tenantId),
        events.map(({ id }) => id),
        events.map(({ key }) => key),
        events.map(({ partition }) => partition),
      ],
    )
    const moody = events.find(({ data: { mood = '' } }) => mood in MOODS)
    if (!moody) return
    if (events.length > 1) throw new Error('has to be handled alone')
    await MOODS[moody.data.mood!]!(moody, tx)
  },
})
