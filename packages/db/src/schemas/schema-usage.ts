/** How a type's schema is used: which versions recent events state, and which fields they have. */

import { readStoredRange } from '../ledger/raw-events.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db } from '../server/connect.js'
import type { SchemaSubject } from './event-schemas.js'

/** How many of the last events of the whole pipeline are read, of all types: there is no index by type. */
const LOOKED_AT = 20_000

/** The most names that are listed, the most frequent first: producers choose them. */
const NAMED = 100

export interface SchemaUsage {
  /** How many events were read, of all types. */
  lookedAt: number
  /** By `dataschema`, the most frequent first; `null` if an event has none. */
  named: { dataschema: string | null; events: number; last: string }[]
  /** The top-level fields of the events without `dataschema`, the most frequent first. */
  fields: { name: string; events: number }[]
}

/** Reads how recent events of a type use its schema. */
export async function readSchemaUsage(db: Db, { tenantId, type }: SchemaSubject): Promise<SchemaUsage> {
  const { last } = await readStoredRange(db)
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `WITH recent AS MATERIALIZED (
         SELECT extensions->>'dataschema' AS dataschema, accepted_at, payload FROM raw_events
         WHERE partition IN (SELECT id FROM partitions) AND seq > $3 AND tenant_id = $1 AND type = $2)
       SELECT (SELECT coalesce(jsonb_agg(n), '[]')
               FROM (SELECT dataschema, count(*) AS events, max(accepted_at) AS last
                     FROM recent GROUP BY 1 ORDER BY 2 DESC LIMIT $4) n) AS named,
              (SELECT coalesce(jsonb_agg(f), '[]')
               FROM (SELECT name, count(*) AS events FROM recent, json_object_keys(payload) AS name
                     WHERE dataschema IS NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4) f) AS fields`,
      [tenantId, type, last - LOOKED_AT, NAMED],
    ),
  )
  return { lookedAt: LOOKED_AT, ...rows[0] }
}
