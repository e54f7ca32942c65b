/**
 * `fault.step` and `fault.handled`: what the fault tests send. Their effects are counted in a table that would show every
 * second one. Both write to the same keys.
 *
 * A step may have a mood, which its enricher has. *flaky*: fails half the time; *fails once*; *failing*: always, *bad*: for
 * good; *deadly*: kills its worker; *slow*, *slow to settle*: takes a second; *stuck*: never comes to an end; *needs the
 * source*: waits while a row in `source_away` says so. The moods of `fault.handled` are those of its handler.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type AcceptedEvent,
  defineEvent,
  type EnrichContext,
  PermanentError,
  type Sql,
  type Static,
  Type,
  UnavailableError,
} from '@eventflow/pipeline'
import { failOnce, HANDLER_MOODS } from './_handler-moods.js'

const Step = Type.Object({
  key: Type.String(),
  n: Type.Integer({ description: 'Numbers the events of the key' }),
  mood: Type.Optional(Type.String({ description: 'What is special about it' })),
})

type StepEvent = AcceptedEvent<Static<typeof Step>>

const step = defineEvent({
  type: 'fault.step',
  schema: Step,
  key: ({ key }) => key,
  retry: { attempts: 4, baseDelayMs: 200 },
  enrich: [
    {
      name: 'moody',
      enrich: async (events: readonly StepEvent[], { sql }: EnrichContext) => {
        const moods = events.map(({ data }) => data.mood)
        if (moods.includes('deadly')) process.kill(process.pid, 'SIGKILL')
        if (moods.includes('slow')) await delay(1_000) // long enough for something to befall it meanwhile
        if (moods.includes('stuck')) await new Promise(() => {})
        const asks = moods.includes('needs the source')
        const away = asks && (await sql.query('SELECT FROM source_away')).length > 0
        return events.map(({ id, data: { mood } }) => {
          if (mood === 'fails once') return onceOrNothing(id)
          if (mood === 'bad') return new PermanentError('never works')
          if (mood === 'needs the source' && away) return new UnavailableError('the source')
          return mood === 'failing' || (mood === 'flaky' && Math.random() < 0.5) ? new Error('did not work') : {}
        })
      },
    },
  ],
  // No unique constraint but on the position: a second effect of an event must be seen, not prevented.
  prepare: async (tx) => {
    await tx.query(`
      CREATE TABLE IF NOT EXISTS effects (
        at bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id text NOT NULL, event_id uuid NOT NULL, key text NOT NULL, n integer NOT NULL)`)
    await tx.query('CREATE TABLE IF NOT EXISTS source_away ()')
    await tx.query(`
      CREATE TABLE IF NOT EXISTS totals (
        tenant_id text, key text, count bigint NOT NULL, sum bigint NOT NULL, PRIMARY KEY (tenant_id, key))`)
  },
  handleBatch: async (events, tx) => {
    await writeEffects(events, tx)
    if (events.some(({ data }) => data.mood === 'slow to settle')) await tx.query('SELECT pg_sleep(1)')
  },
})

const handled = defineEvent({
  type: 'fault.handled',
  schema: Step,
  key: ({ key }) => key,
  retry: { attempts: 2, baseDelayMs: 200 },
  handle: async (event, tx) => {
    await writeEffects([event], tx)
    await HANDLER_MOODS[event.data.mood!]!(event, tx)
  },
})

export default [step, handled]

async function writeEffects(events: readonly StepEvent[], tx: Sql): Promise<void> {
  const values = [
    events.map(({ tenantId }) => tenantId),
    events.map(({ data }) => data.key),
    events.map(({ data }) => data.n),
  ]
  await tx.query(
    `INSERT INTO effects (tenant_id, key, n, event_id)
     SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::uuid[])`,
    [...values, events.map(({ id }) => id)],
  )
  await tx.query(
    `INSERT INTO totals (tenant_id, key, count, sum)
     SELECT tenant_id, key, count(*), sum(n) FROM unnest($1::text[], $2::text[], $3::integer[]) AS e(tenant_id, key, n)
     GROUP BY 1, 2 ORDER BY 1, 2
     ON CONFLICT (tenant_id, key) DO UPDATE SET count = totals.count + excluded.count, sum = totals.sum + excluded.sum`,
    values,
  )
}

function onceOrNothing(id: string): Error | object {
  try {
    failOnce(id)
    return {}
  } catch (error) {
    return error as Error
  }
}
