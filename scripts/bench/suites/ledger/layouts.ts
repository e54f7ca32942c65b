/** The layouts of the ledger that are compared, each as a kept database from which every measurement begins. */
import { endTurn, makeAhead, migrate, readBuckets, readReach, tidyBuckets, turnBucket } from '@eventflow/db'
import { migrateAsBeforeParts } from '@eventflow/testkit'
import pg from 'pg'
import { untilNothingLeft } from '../../measure.js'
import type { Stack } from '../../stack.js'
import { PARTITIONS } from '../../variants/eventflow.js'
import { storeSettled } from './stored.js'

/** A layout, by the name of its kept database. */
export const LAYOUTS = {
  by_id: 'by id: ordinary tables keyed by id, as in 0.1.0',
  parts: 'in parts, new',
  parts_full: 'in parts, with a full previous bucket and 30 parts',
} as const

/** The name of a layout. */
export type LayoutName = keyof typeof LAYOUTS

/** All of them; the others are compared with the first. */
export const LAYOUT_NAMES = Object.keys(LAYOUTS) as LayoutName[]

/** How full the full one is. */
export interface Fullness {
  /** Ids in the previous bucket. */
  ids: number
  /** Events in each part below the one that takes new events. */
  partEvents: number
}

/** Parts of the full layout, with the one that takes new events and the one ahead. */
export const PARTS = 30

/** Wide enough for every measurement. */
const WIDE = 100_000_000

/** Of the ids in the previous bucket, one in so many is kept longer. */
const KEPT_SHARE = 100

/** Makes the database of each layout. They are dropped with the data of the bench. */
export async function keepLayouts(stack: Stack, fullness: Fullness, now: (what: string) => void): Promise<void> {
  for (const name of LAYOUT_NAMES) {
    now(`preparing: ${LAYOUTS[name]}`)
    await stack.reset()
    if (name === 'by_id') await migrateAsBeforeParts(stack.databaseUrl, PARTITIONS)
    else if (name === 'parts') await migrate(stack.databaseUrl, { partitions: PARTITIONS, partEvents: WIDE })
    else await fillAll(stack, fullness)
    await stack.keep(name)
  }
}

async function fillAll(stack: Stack, { ids, partEvents }: Fullness): Promise<void> {
  const { db, databaseUrl, adminUrl } = stack
  await migrateNarrow(databaseUrl, PARTS, partEvents)
  await storeSettled(db, (PARTS - 2) * partEvents)
  await db.query(
    `INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
     SELECT 'default', gen_random_uuid(), bucket, 0, n % $2 FROM ledger, generate_series(1, $1::integer) n`,
    [ids, PARTITIONS],
  )
  await turn(stack)
  await db.query(
    `INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
     SELECT 'default', gen_random_uuid(), 0, 0, n % $2 FROM generate_series(1, $1::integer) n`,
    [Math.ceil(ids / KEPT_SHARE), PARTITIONS],
  )
  await analyze(adminUrl)
}

/** Makes `parts` parts: all but the last two narrow, the others so wide that no measurement fills them. */
export async function migrateNarrow(url: string, parts: number, partEvents: number): Promise<void> {
  await migrate(url, { partitions: PARTITIONS, partEvents })
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    // The parts ahead are those above the first one, which is counted as open.
    await makeAhead(url, (await readReach(client))!, { partEvents, keptDays: 0 }, parts - 3)
    await makeAhead(url, (await readReach(client))!, { partEvents: WIDE, keptDays: 0 }, parts - 1)
  } finally {
    await client.end()
  }
}

/** Makes the next bucket the current one. */
async function turn({ db, databaseUrl }: Stack): Promise<void> {
  await turnBucket(databaseUrl, (await readBuckets(db))!)
  const { readAt } = (await readBuckets(db))!
  await untilNothingLeft('the turn of the buckets', 50, async () => ((await endTurn(db, readAt, 0)) ? 0 : 1))
  await tidyBuckets(databaseUrl)
}

/** Reads the statistics of each table with rows, as autovacuum would. */
export async function analyze(adminUrl: string): Promise<void> {
  const admin = new pg.Client({ connectionString: adminUrl })
  await admin.connect()
  try {
    const { rows } = await admin.query(`
      SELECT oid::regclass::text AS name FROM pg_class
      WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND pg_relation_size(oid) > 0`)
    for (const { name } of rows) await admin.query(`VACUUM (ANALYZE) ${name}`)
  } finally {
    await admin.end()
  }
}
