/**
 * `leaky`: fails in every way an event can, and each error quotes the event's secret, as errors of careless code do.
 */
import { type AcceptedEvent, defineEvent, PermanentError, type Static, Type } from '@eventflow/sdk'

const Leaky = Type.Object({
  secret: Type.String(),
  fails: Type.Optional(
    Type.Union(
      ['enricher', 'rule', 'handler', 'again', 'cast', 'unique', 'trigger', 'later', 'floats', 'never'].map((where) =>
        Type.Literal(where),
      ),
    ),
  ),
})

/** Set by an event, and thrown when no event is being processed any more. */
let late: Error | undefined
setInterval(() => {
  const error = late
  late = undefined
  if (error) throw error
}, 20).unref()

type LeakyEvent = AcceptedEvent<Static<typeof Leaky>>

export default defineEvent({
  type: 'leaky',
  schema: Leaky,
  retry: { attempts: 2, baseDelayMs: 10 },
  enrich: [
    {
      name: 'careless',
      enrich: async (events: readonly LeakyEvent[]) => {
        if (events.some(({ data }) => data.fails === 'floats')) {
          void Promise.reject(new PermanentError('nothing awaits this'))
          await new Promise(() => {})
        }
        return events.map(({ data: { secret, fails } }) => {
          if (fails === 'later') setImmediate(() => Promise.reject(new RangeError('after it has answered')))
          return fails === 'enricher' ? new PermanentError(`no answer for ${secret}`) : {}
        })
      },
    },
  ],
  validate: ({ data: { secret, fails } }) =>
    fails === 'rule' ? [{ pointer: '/secret', message: `must not be ${secret}` }] : [],
  prepare: async (tx) => {
    await tx.query('CREATE TABLE IF NOT EXISTS secrets (secret text PRIMARY KEY)')
    await tx.query(`
      CREATE OR REPLACE FUNCTION tell_secret() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN RAISE EXCEPTION 'not this one: %', NEW.secret; END $$`)
    await tx.query(`
      CREATE OR REPLACE TRIGGER teller BEFORE INSERT ON secrets FOR EACH ROW WHEN (NEW.secret LIKE 'told%')
      EXECUTE FUNCTION tell_secret()`)
  },
  handle: async ({ data: { secret, fails } }, tx) => {
    if (fails === 'handler') throw new PermanentError(`cannot do ${secret}`)
    if (fails === 'again') throw new Error(`cannot do ${secret} yet`)
    if (fails === 'cast') await tx.query('SELECT $1::text::integer', [secret])
    if (fails === 'unique') await tx.query('INSERT INTO secrets VALUES ($1), ($1)', [secret])
    if (fails === 'never') late = new RangeError('of no event')
    if (fails === 'trigger') await tx.query('INSERT INTO secrets VALUES ($1)', [`told ${secret}`])
  },
})
