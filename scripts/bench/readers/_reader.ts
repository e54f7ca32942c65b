/** Consumer groups of the bench: each sums the orders that it reads, by country. */
import { defineConsumer } from '@eventflow/sdk'

/** A group that reads the log from its beginning. `sleeps`: each batch takes seconds. */
export const reader = (name: string, { sleeps = false } = {}) =>
  defineConsumer<{ country: string }>({
    name,
    events: ['bench.plain'],
    from: 'earliest',
    prepare: async (tx) => {
      await tx.query(
        `CREATE TABLE IF NOT EXISTS bench_read (reader text, country text, orders bigint, PRIMARY KEY (reader, country))`,
      )
    },
    handleBatch: async (orders, tx) => {
      if (sleeps) await tx.query('SELECT pg_sleep(3)')
      const counts = new Map<string, number>()
      for (const { data } of orders) counts.set(data.country, (counts.get(data.country) ?? 0) + 1)
      await tx.query(
        `INSERT INTO bench_read AS read (reader, country, orders)
         SELECT $1, * FROM unnest($2::text[], $3::bigint[])
         ON CONFLICT (reader, country) DO UPDATE SET orders = read.orders + excluded.orders`,
        [name, [...counts.keys()], [...counts.values()]],
      )
    },
  })
