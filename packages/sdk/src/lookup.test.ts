/** Look-ups in a table: memory first, then the shared cache, then one query. The flow tests use a real Postgres. */
import { afterEach, expect, jest, test } from '@jest/globals'
import { type AcceptedEvent, lookup, PermanentError, type SharedCache, type Sql } from './index.js'

type Trip = AcceptedEvent<{ from: string; to?: string }>

const CITIES: Record<string, string> = { ATL: 'Atlanta', ORD: 'Chicago', DEN: 'Denver' }

/** A table of cities that answers as Postgres does and records its queries. */
function table(rows = CITIES) {
  const asked: unknown[][] = []
  const query = async (_text: string, values: readonly unknown[] = []) => {
    const keys = values[0] as string[]
    asked.push(keys)
    return keys.filter((key) => key in rows).map((key) => ({ key, json: JSON.stringify({ city: rows[key] }) }))
  }
  return { asked, query: query as Sql['query'] }
}

/** A cache that never forgets. */
function cache(entries = new Map<string, string>()): SharedCache & { entries: Map<string, string>; ttls: number[] } {
  const ttls: number[] = []
  return {
    entries,
    ttls,
    getMany: async (keys) => keys.map((key) => entries.get(key)),
    setMany: async (added, ttlMs) => {
      ttls.push(ttlMs)
      for (const [key, text] of added) entries.set(key, text)
    },
  }
}

const emptyCache: SharedCache = {
  getMany: async (keys) => keys.map(() => undefined),
  setMany: async () => {},
}

function cities(options: { missing?: 'fail' | 'skip'; ttlMs?: number; cacheSize?: number } = {}) {
  return lookup({
    table: 'cities',
    key: 'code',
    columns: ['city'],
    fields: { from_city: ({ data }: Trip) => data.from, to_city: ({ data }: Trip) => data.to },
    ...options,
  })
}

function trips(...routes: string[]): Trip[] {
  return routes.map((route) => {
    const [from, to] = route.split('-')
    return { data: to ? { from, to } : { from } } as Trip
  })
}

afterEach(() => {
  jest.useRealTimers()
})

test('one query finds all fields of all events, each distinct key once', async () => {
  const sql = table()
  const additions = await cities().enrich(trips('ATL-ORD', 'ORD-ATL', 'ATL-DEN'), { sql, cache: cache() })
  expect(sql.asked).toEqual([['ATL', 'ORD', 'DEN']])
  expect(additions).toEqual([
    { from_city: { city: 'Atlanta' }, to_city: { city: 'Chicago' } },
    { from_city: { city: 'Chicago' }, to_city: { city: 'Atlanta' } },
    { from_city: { city: 'Atlanta' }, to_city: { city: 'Denver' } },
  ])
})

test('the process caches rows, and queries only unknown keys', async () => {
  const sql = table()
  const enricher = cities()
  await enricher.enrich(trips('ATL-ORD'), { sql, cache: emptyCache })
  await enricher.enrich(trips('ATL-DEN'), { sql, cache: emptyCache })
  await enricher.enrich(trips('DEN-ORD'), { sql, cache: emptyCache })
  expect(sql.asked).toEqual([['ATL', 'ORD'], ['DEN']])
})

test('another process finds them in the shared cache', async () => {
  const sql = table()
  const shared = cache()
  const [first] = await cities({ ttlMs: 1234 }).enrich(trips('ATL-ORD'), { sql, cache: shared })
  const [second] = await cities().enrich(trips('ATL-ORD'), { sql, cache: shared })
  expect(second).toEqual(first)
  expect(sql.asked).toHaveLength(1)
  expect(shared.ttls).toEqual([1234])
  expect([...shared.entries.keys()]).toEqual(['lookup:cities:code:city:ATL', 'lookup:cities:code:city:ORD'])
})

test('a row is forgotten after its TTL, or when there are too many', async () => {
  jest.useFakeTimers()
  jest.advanceTimersByTime(1) // lru-cache treats the time 0 as unset
  const sql = table()
  const enricher = cities({ ttlMs: 1000, cacheSize: 2 })
  const ask = (route: string) => enricher.enrich(trips(route), { sql, cache: emptyCache })
  await ask('ATL-ORD')
  jest.advanceTimersByTime(999)
  await ask('ATL-ORD')
  expect(sql.asked).toEqual([['ATL', 'ORD']])
  jest.advanceTimersByTime(2)
  await ask('ATL-ORD')
  await ask('ATL-DEN')
  await ask('ORD-DEN')
  expect(sql.asked).toEqual([['ATL', 'ORD'], ['ATL', 'ORD'], ['DEN'], ['ORD']])
})

test('a missing row fails its event permanently, and is looked up again the next time', async () => {
  const rows = { ...CITIES }
  const sql = table(rows)
  const shared = cache()
  const enricher = cities()
  const [lost, found, nowhere] = await enricher.enrich(trips('ATL-NRT', 'ATL-ORD', 'ATL'), { sql, cache: shared })
  expect(lost).toBeInstanceOf(PermanentError)
  expect(lost).toHaveProperty('message', "there is no row in cities with code = 'NRT'")
  expect(found).toHaveProperty('to_city')
  expect(nowhere).toHaveProperty('message', 'there is no key for to_city')

  rows.NRT = 'Tokyo'
  const [later] = await enricher.enrich(trips('ATL-NRT'), { sql, cache: shared })
  expect(later).toHaveProperty('to_city', { city: 'Tokyo' })
})

test('or the field is left out', async () => {
  const additions = await cities({ missing: 'skip' }).enrich(trips('ATL-NRT', 'ATL'), { sql: table(), cache: cache() })
  expect(additions).toEqual([{ from_city: { city: 'Atlanta' } }, { from_city: { city: 'Atlanta' } }])
})

test('without Redis, Postgres answers', async () => {
  const [addition] = await cities().enrich(trips('ATL-ORD'), { sql: table(), cache: emptyCache })
  expect(addition).toEqual({ from_city: { city: 'Atlanta' }, to_city: { city: 'Chicago' } })
})

test('without Postgres, the batch fails', async () => {
  const sql = { query: () => Promise.reject(new Error('no connection')) }
  await expect(cities().enrich(trips('ATL-ORD'), { sql, cache: cache() })).rejects.toThrow('no connection')
})

test('a key function that throws fails only its event', async () => {
  const broken = { data: undefined } as unknown as Trip
  const additions = await cities().enrich([broken, ...trips('ATL-ORD')], { sql: table(), cache: cache() })
  expect(additions[0]).toBeInstanceOf(TypeError)
  expect(additions[1]).toHaveProperty('to_city')
})

test('rows cannot be changed, because events share them', async () => {
  const [addition] = await cities().enrich(trips('ATL-ORD'), { sql: table(), cache: cache() })
  expect(() => Object.assign((addition as { from_city: object }).from_city, { city: 'Paris' })).toThrow(TypeError)
})

test('the query quotes names and passes keys as a parameter', async () => {
  const texts: string[] = []
  const query = async (text: string) => {
    texts.push(text)
    return []
  }
  const fields = { row: () => `'; DROP TABLE users; --` }
  const enricher = lookup({ table: 'ref.Cities', key: 'code', columns: ['city', 'order'], fields, missing: 'skip' })
  await enricher.enrich(trips('ATL'), { sql: { query: query as Sql['query'] }, cache: cache() })
  expect(texts).toEqual([
    `SELECT "code"::text AS key, json_build_object('city', "city", 'order', "order")::text AS json
FROM "ref"."Cities" WHERE "code" = ANY($1)`,
  ])
})

test.each<[string, object]>([
  ['a table', { table: 'cities; DROP TABLE users' }],
  ['a table of three parts', { table: 'a.b.c' }],
  ['a key', { key: 'code"' }],
  ['a column', { columns: ["city', 1"] }],
  ['no columns', { columns: [] }],
  ['too many columns', { columns: Array.from({ length: 51 }, (_, i) => `c${i}`) }],
  ['an endless time to live', { ttlMs: 0 }],
  ['an endless memory', { cacheSize: 0 }],
])('refuses %s', (_, wrong) => {
  expect(() => lookup({ table: 'cities', key: 'code', columns: ['city'], fields: {}, ...wrong })).toThrow(TypeError)
})
