/** The enricher that looks up rows of a Postgres table. */
import type { AcceptedEvent, Payload } from '@eventflow/core'
import type { EnrichContext, Enricher, SharedCache, Sql } from './enricher.js'
import { type Fields, type Found, fillFields, type Missing } from './fields.js'
import { requireWholeNumbers } from './option-numbers.js'
import { createReferenceCache, DEFAULT_CACHE_SIZE, DEFAULT_TTL_MS, parseFrozen } from './reference-cache.js'

export interface LookupOptions<Data, Field extends string, Column extends string, Absent extends Missing> {
  /** Default: the table. */
  name?: string
  /** `airports` or `reference.airports`. Names of tables and columns: letters, digits and `_`, case-sensitive. */
  table: string
  /**
   * The column to look up, unique, with an index: text, or a type that Postgres prints in the same form as your keys.
   */
  key: string
  /** At most 50. */
  columns: readonly Column[]
  /** The fields to add and the key for each: several fields of one table need only one query. */
  fields: Fields<Data, Field>
  /** How long a row is cached, in the process and again in Redis. Default: five minutes. */
  ttlMs?: number
  /** Maximum rows cached in a process, at most 32 MiB of them. Default: 10,000. */
  cacheSize?: number
  /** When there is no row, or no key: `fail` the event permanently (the default) or `skip` the field. */
  missing?: Absent
}

type Row<Column extends string> = Readonly<Record<Column, unknown>>

/**
 * Adds rows of a reference table:
 *
 * ```ts
 * lookup({
 *   table: 'airports',
 *   key: 'iata',
 *   columns: ['name', 'city', 'latitude', 'longitude'],
 *   fields: {
 *     origin_airport: (event: FlightEvent) => event.data.origin,
 *     destination_airport: (event: FlightEvent) => event.data.destination,
 *   },
 * })
 * ```
 *
 * A batch looks into the cache of the process, then into Redis, then queries Postgres once for the remaining keys. Rows
 * are the JSON that Postgres wrote, from any of the three; numbers that JavaScript would round, such as large bigints,
 * arrive as their text. A change of the table is visible after `2 × ttlMs` at the latest. A missing row is never
 * cached: the next batch finds it once it exists. While Redis is down, every uncached key goes to Postgres, and no
 * event fails.
 *
 * Throws at once for an invalid table or column name: names become part of the SQL, keys never do.
 */
export function lookup<
  Field extends string,
  const Column extends string,
  Data = Payload,
  Absent extends Missing = 'fail',
>(options: LookupOptions<Data, Field, Column, Absent>): Enricher<Data, Found<Field, Row<Column>, Absent>> {
  const { table, key, columns, fields, ttlMs = DEFAULT_TTL_MS, cacheSize = DEFAULT_CACHE_SIZE } = options
  const missing = options.missing ?? ('fail' as Absent)
  requireWholeNumbers(`lookup in ${table}`, { ttlMs, cacheSize }, 1)
  const select = selectByKey(table, key, columns)
  const cachePrefix = `lookup:${table}:${key}:${columns.join(',')}:`
  const remembered = createReferenceCache<Row<Column>>(cacheSize, ttlMs)

  return {
    name: options.name ?? table,
    enrich: (events: readonly AcceptedEvent<Data>[], context) =>
      fillFields(
        events,
        fields,
        missing,
        (keys) => rowsOf(keys, context),
        (value) => `row in ${table} with ${key} = '${value}'`,
      ),
  }

  async function rowsOf(keys: string[], { sql, cache }: EnrichContext): Promise<Map<string, Row<Column>>> {
    const rows = new Map<string, Row<Column>>()
    const unknown = () => keys.filter((key) => !rows.has(key))
    for (const key of keys) {
      const row = remembered.get(key)
      if (row) rows.set(key, row)
    }
    const cached = await readCache(cache, cachePrefix, unknown())
    for (const { key, json } of cached) rows.set(key, remember(key, json))
    const selected = await readTable(sql, select, unknown())
    for (const { key, json } of selected) rows.set(key, remember(key, json))
    await writeCache(cache, cachePrefix, selected, ttlMs)
    return rows
  }

  function remember(key: string, json: string): Row<Column> {
    const row = parseFrozen(json) as Row<Column>
    remembered.set(key, row, { size: json.length })
    return row
  }
}

/** A row as Postgres wrote it: the same text goes to Redis, so that a row from there is identical. */
interface JsonRow {
  key: string
  json: string
}

/** Reads the rows that the cache has. */
async function readCache(cache: SharedCache, prefix: string, keys: string[]): Promise<JsonRow[]> {
  if (keys.length === 0) return []
  const texts = await cache.getMany(keys.map((key) => prefix + key))
  return keys.flatMap((key, index) => {
    const json = texts[index]
    return json === undefined ? [] : [{ key, json }]
  })
}

async function readTable(sql: Sql, select: string, keys: string[]): Promise<JsonRow[]> {
  return keys.length === 0 ? [] : sql.query<JsonRow>(select, [keys])
}

async function writeCache(cache: SharedCache, prefix: string, rows: JsonRow[], ttlMs: number): Promise<void> {
  if (rows.length === 0) return
  await cache.setMany(new Map(rows.map(({ key, json }) => [prefix + key, json])), ttlMs)
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
const MAX_COLUMNS = 50

function selectByKey(table: string, key: string, columns: readonly string[]): string {
  if (columns.length < 1 || columns.length > MAX_COLUMNS)
    throw new TypeError(`lookup in ${table}: give 1 to 50 columns`)
  const from = table.split('.')
  if (from.length > 2) throw new TypeError(`lookup in ${table}: give a table, or a schema and a table`)
  const row = columns.map((column) => `'${checked(column)}', "${column}"`).join(', ')
  return `SELECT "${checked(key)}"::text AS key, json_build_object(${row})::text AS json
FROM ${from.map((part) => `"${checked(part)}"`).join('.')} WHERE "${key}" = ANY($1)`
}

function checked(name: string): string {
  if (!NAME.test(name)) {
    throw new TypeError(`lookup: '${name}' is not a name of a table or column (letters, digits and _)`)
  }
  return name
}
