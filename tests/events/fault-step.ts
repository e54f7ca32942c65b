/**
 * `fault.step`: the event of the fault tests. Its effects are written to a table that would show every duplicate.
 *
 * An event may have a mood, which its enricher obeys. *flaky*: fails half the time; *fails once*; *failing*: always,
 * *bad*: permanently; *deadly*: kills its worker; *slow*, *slow to settle*: takes a second; *stuck*: never ends; *needs
 * the source*: waits while a row in `source_away` says so.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { defineEvent, type EnrichContext, PermanentError, UnavailableError } from '@eventflow/sdk'
import { failOnce } from './_handler-moods.js'
import { Step, type StepEvent, writeEffects } from './_step.js'

export default defineEvent({
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
        if (moods.includes('slow')) await delay(1_000) // long enough for a fault to strike meanwhile
        if (moods.includes('stuck')) await new Promise(() => {})
        const asks = moods.includes('needs the source')
        const away = asks && (await sql.query('SELECT FROM source_away')).length > 0
        return events.map((event) => {
          const { mood } = event.data
          if (mood === 'fails once') return onceOrNothing(event)
          if (mood === 'bad') return new PermanentError('never works')
          if (mood === 'needs the source' && away) return new UnavailableError('the source')
          return mood === 'failing' || (mood === 'flaky' && Math.random() < 0.5) ? new Error('did not work') : {}
        })
      },
    },
  ],
  // Only the position has a unique constraint: a second effect of an event must be seen, not prevented.
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

function onceOrNothing(event: StepEvent): Error | object {
  try {
    failOnce(event)
    return {}
  } catch (error) {
    return error as Error
  }
}
