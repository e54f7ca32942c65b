/** Consumer groups whose handlers do what the test tells them. */
import { defineConsumer, type Sql, UnavailableError } from '@eventflow/sdk'

type Data = { n: number }

/** The types of events, each for one group; `note` is read by two. */
export const TYPES = ['note', 'trial', 'loop', 'cause', 'twin', 'one.of.many', 'derived']

/** What the handlers consult. */
export const told = { asleep: Promise.resolve(), failures: 0, isAway: true }

const insert = (table: string, { n }: Data, tx: Sql) => tx.query(`INSERT INTO ${table} (n) VALUES ($1)`, [n])
const creating = (table: string, column = 'n integer') => ({
  from: 'earliest' as const,
  retry: { attempts: 4, baseDelayMs: 1 },
  prepare: async (tx: Sql) =>
    void (await tx.query(`CREATE TABLE IF NOT EXISTS ${table} (${column}, at bigserial PRIMARY KEY)`)),
})

export const groups = [
  defineConsumer<Data>({
    ...creating('by_level'),
    name: 'level',
    events: ['note'],
    handle: async ({ data }, tx) => void (await insert('by_level', data, tx)),
  }),
  defineConsumer<Data>({
    ...creating('by_sleepy'),
    name: 'sleepy',
    events: ['note'],
    handle: async ({ data }, tx) => {
      await insert('by_sleepy', data, tx)
      await told.asleep
    },
  }),
  defineConsumer<Data>({
    ...creating('by_trying'),
    name: 'trying',
    events: ['trial'],
    handle: async ({ data }, tx) => {
      await tx.emit({ type: 'derived', data })
      if (told.failures-- > 0) throw new Error('not yet')
      await insert('by_trying', data, tx)
    },
  }),
  defineConsumer<Data>({
    ...creating('by_looping'),
    name: 'looping',
    events: ['loop'],
    handle: async ({ data: { n } }, tx) => tx.emit({ type: 'loop', data: { n: n + 1 } }),
  }),
  defineConsumer<Data>({
    ...creating('by_emitting'),
    name: 'emitting',
    events: ['cause'],
    handle: async ({ data }, tx) => {
      await insert('by_emitting', data, tx)
      await tx.emit({ type: 'derived', data })
    },
  }),
  defineConsumer<Data>({
    ...creating('by_unique', 'n integer UNIQUE DEFERRABLE INITIALLY DEFERRED'),
    name: 'unique',
    events: ['twin'],
    handle: async ({ data }, tx) => {
      await insert('by_unique', data, tx)
      await tx.emit({ type: 'derived', data })
    },
  }),
  defineConsumer<Data>({
    ...creating('by_many'),
    name: 'many',
    events: ['one.of.many'],
    handleBatch: async (events, tx) => {
      if (told.isAway && events.some(({ data }) => data.n <= 0)) throw new UnavailableError('the source')
      await tx.query('INSERT INTO by_many (n) SELECT * FROM unnest($1::integer[])', [events.map(({ data }) => data.n)])
    },
  }),
]
