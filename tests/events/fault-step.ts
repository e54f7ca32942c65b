/** `fault.step`: what the fault tests send. Its effects are counted in a table that would show every second one. */
import { type AcceptedEvent, defineEvent, PermanentError, type Static, Type } from '@eventflow/pipeline'

const Step = Type.Object({
  key: Type.String(),
  n: Type.Integer({ description: 'Numbers the events of the key' }),
  mood: Type.Optional(
    Type.String({ description: 'flaky: fails half the time; bad: always; deadly: kills its worker' }),
  ),
})

type StepEvent = AcceptedEvent<Static<typeof Step>>

export default defineEvent({
  type: 'fault.step',
  schema: Step,
  key: ({ key }) => key,
  retry: { attempts: 4, baseDelayMs: 200 },
  enrich: [
    {
      name: 'moody',
      enrich: (events: readonly StepEvent[]) =>
        events.map(({ data: { mood } }) => {
          if (mood === 'deadly') process.kill(process.pid, 'SIGKILL')
          if (mood === 'bad') return new PermanentError('never works')
          return mood === 'flaky' && Math.random() < 0.5 ? new Error('did not work this time') : {}
        }),
    },
  ],
  // No unique constraint but on the position: a second effect of an event must be seen, not prevented.
  prepare: async (tx) => {
    await tx.query(`
      CREATE TABLE IF NOT EXISTS effects (
        at bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, key text NOT NULL, n integer NOT NULL)`)
    await tx.query(`
      CREATE TABLE IF NOT EXISTS totals (key text PRIMARY KEY, count bigint NOT NULL, sum bigint NOT NULL)`)
  },
  handleBatch: async (events, tx) => {
    const values = [events.map(({ id }) => id), events.map(({ data }) => data.key), events.map(({ data }) => data.n)]
    await tx.query(
      'INSERT INTO effects (event_id, key, n) SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[])',
      values,
    )
    await tx.query(
      `INSERT INTO totals (key, count, sum)
       SELECT key, count(*), sum(n) FROM unnest($1::text[], $2::integer[]) AS e(key, n) GROUP BY key ORDER BY key
       ON CONFLICT (key) DO UPDATE SET count = totals.count + excluded.count, sum = totals.sum + excluded.sum`,
      values.slice(1),
    )
  },
})
