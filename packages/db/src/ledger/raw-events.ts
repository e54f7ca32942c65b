/** `raw_events`: the accepted events. Append-only. */
import { identityOf, type RawEvent } from '@eventflow/core'
import type { Queryable } from '../server/connect.js'
import { asMoment, momentOf } from '../server/moments.js'
import { smallintColumn, textColumn, timestamptzColumn, uuidColumn } from './columns.js'
import {
  type BucketState,
  claimIds,
  EVENT_OF,
  FIRST_STATE,
  IDS_OF,
  IS_EVENT_OF_ID,
  isInState,
  nameOf,
} from './event-ids.js'
import { hasRow } from './settled.js'

/** An event to be inserted into `raw_events`. */
export interface NewEvent extends Omit<RawEvent, 'seq' | 'acceptedAt' | 'occurredAt'> {
  /** Event time in the form of `readTime`; the time of acceptance if missing. */
  occurredAt?: string
}

/** The values that Postgres assigns to a new event. */
export interface Acceptance {
  seq: number
  /** RFC 3339 in UTC. */
  acceptedAt: string
}

/**
 * When events count as accepted. `statement`: when the transaction began, which has only this statement. `clock`: by
 * the clock, in a transaction that may be older. The times of acceptance must be near those at which the seqs are
 * assigned (see `readFinalSeqs`).
 */
export type AcceptedAt = 'statement' | 'clock'

const TIMES: Record<AcceptedAt, string> = { statement: 'now()', clock: '(SELECT clock_timestamp())' }

// seq is assigned in the order of the arrays, so that a request's events keep their order.
const INSERT = (state: BucketState, acceptedAt: AcceptedAt) => `
  WITH numbered AS MATERIALIZED (
    SELECT nextval((SELECT sequence::regclass FROM ledger)) AS seq, e.*
    FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
                $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::json[], $13::json[], $14::smallint[])
      AS e(tenant_id, event_id, external_id, type, source, key, partition,
           occurred_at, correlation_id, causation_id, traceparent, payload, extensions, hops)
    WHERE ${isInState(state)}),
  ${claimIds(state)},
  inserted AS (
    INSERT INTO raw_events (seq, tenant_id, event_id, external_id, type, source, key, partition, occurred_at,
                            accepted_at, correlation_id, causation_id, traceparent, payload, extensions, hops)
    SELECT seq, n.tenant_id, n.event_id, external_id, type, source, key, n.partition,
           coalesce(occurred_at, date_trunc('milliseconds', now())),
           ${TIMES[acceptedAt]}, correlation_id, causation_id, traceparent, payload, extensions, hops
    FROM numbered n JOIN claimed USING (seq)
    RETURNING seq, accepted_at)
  SELECT incarnation, bucket, previous_bucket, turning, (SELECT array_agg(seq) FROM numbered) AS drawn, i.*
  FROM ledger CROSS JOIN (
    SELECT min(accepted_at) AS accepted_at,
           CASE WHEN count(*) < cardinality($2) THEN coalesce(array_agg(seq), '{}') END AS inserted
    FROM inserted) i`

/** The statement for a state of the buckets. */
const insertFor = (state: BucketState, acceptedAt: AcceptedAt) => {
  const buckets = nameOf(state)
  return { buckets, name: `insert-raw-events ${acceptedAt} ${buckets}`, text: INSERT(state, acceptedAt) }
}

const FIRST_INSERTS = { statement: insertFor(FIRST_STATE, 'statement'), clock: insertFor(FIRST_STATE, 'clock') }

/** The statement for the state that each pool or connection has last seen. */
const inserts = new WeakMap<Queryable, ReturnType<typeof insertFor>>()

interface InsertResult extends BucketState {
  incarnation: number
  /** The seq that was drawn for each event. */
  drawn: string[]
  /** Those of the new events; `null` if all are new. */
  inserted: string[] | null
  accepted_at: Date | null
}

/** The result of an INSERT. */
export interface Stored {
  /** The values that Postgres assigned to each new event. The others have the id of an earlier one. */
  acceptances: Map<NewEvent, Acceptance>
  /** The incarnation of the ledger: entries for the events must be sealed with its secret. */
  incarnation: number
}

/**
 * Inserts the new ones among the events, in one statement. The events must be distinct. For an event with the id of an
 * earlier one, nothing is written.
 */
export async function insertRawEvents(
  db: Queryable,
  events: readonly NewEvent[],
  { acceptedAt: time = 'statement' }: { acceptedAt?: AcceptedAt } = {},
): Promise<Stored> {
  const values = [
    textColumn(events.map((e) => e.tenantId)),
    uuidColumn(events.map((e) => e.id)),
    textColumn(events.map((e) => e.externalId)),
    textColumn(events.map((e) => e.type)),
    textColumn(events.map((e) => e.source)),
    textColumn(events.map((e) => e.key)),
    smallintColumn(events.map((e) => e.partition)),
    timestamptzColumn(events.map((e) => e.occurredAt)),
    textColumn(events.map((e) => e.correlationId)),
    textColumn(events.map((e) => e.causationId)),
    textColumn(events.map((e) => e.traceparent)),
    textColumn(
      events.map((e) => e.payload),
      'json',
    ),
    textColumn(
      events.map((e) => e.extensions && JSON.stringify(e.extensions)),
      'json',
    ),
    smallintColumn(events.map((e) => e.hops ?? 0)),
  ]
  const { incarnation, drawn, inserted, accepted_at } = await insertInState(db, values, time)
  const acceptances = new Map<NewEvent, Acceptance>()
  if (accepted_at) {
    const acceptedAt = accepted_at.toISOString()
    const isNew = inserted && new Set(inserted)
    events.forEach((event, i) => {
      const seq = drawn[i]!
      if (!isNew || isNew.has(seq)) acceptances.set(event, { seq: Number(seq), acceptedAt })
    })
  }
  return { acceptances, incarnation }
}

/**
 * Runs the INSERT for the state in which the buckets were last seen. If they have turned since, it inserts nothing, and
 * says in which state they are.
 */
async function insertInState(db: Queryable, values: readonly Buffer[], acceptedAt: AcceptedAt): Promise<InsertResult> {
  for (;;) {
    const { buckets, name, text } = inserts.get(db) ?? FIRST_INSERTS[acceptedAt]
    const { rows } = await db.query({ name, text, values: [...values] })
    const result: InsertResult = rows[0]
    if (nameOf(result) === buckets) return result
    inserts.set(db, insertFor(result, acceptedAt))
  }
}

/** A stored event, and whether it was ever delivered. */
export interface StoredEvent {
  event: RawEvent
  /** Neither settled nor in `retries`. */
  undelivered: boolean
}

/** The columns of `raw_events r` that `rawEventOf` reads. */
export const RAW_EVENT_COLUMNS = `
  r.tenant_id, r.event_id, r.external_id, r.seq, r.type, r.source, r.key, r.partition,
  ${asMoment('r.occurred_at')} AS occurred_at, r.accepted_at,
  r.correlation_id, r.causation_id, r.traceparent, r.extensions, r.hops, r.payload::text AS payload`

const FIND = `
  SELECT ${RAW_EVENT_COLUMNS}, i.tenant_id AS known_tenant, i.event_id AS known_id,
         NOT (${hasRow('processed_events')} OR ${hasRow('failed_events')} OR ${hasRow('retries')}) AS undelivered
  FROM unnest($1::text[], $2::uuid[]) AS wanted(tenant_id, event_id)
  CROSS JOIN ${IDS_OF('wanted')} i
  LEFT JOIN ${EVENT_OF('i')} r ON ${IS_EVENT_OF_ID('r')}
  CROSS JOIN LATERAL (SELECT r.seq) AS e`

/**
 * Resolves with the stored events with these ids, by `identityOf`. `removed`: the id is known, but retention has
 * removed its event.
 */
export async function findRawEvents(
  db: Queryable,
  ids: readonly { tenantId: string; id: string }[],
): Promise<Map<string, StoredEvent | 'removed'>> {
  const { rows } = await db.query({
    name: 'find-raw-events',
    text: FIND,
    values: [ids.map((e) => e.tenantId), ids.map((e) => e.id)],
  })
  const found = new Map<string, StoredEvent | 'removed'>()
  // An id may be in two buckets, one of which has no event.
  for (const row of rows) {
    const identity = identityOf({ tenantId: row.known_tenant, id: row.known_id })
    if (row.seq !== null) found.set(identity, { event: rawEventOf(row), undelivered: row.undelivered })
    else if (!found.has(identity)) found.set(identity, 'removed')
  }
  return found
}

/**
 * Resolves with the first and the last stored seq, 0 if there is none. Reads each partition, because there is no index
 * by seq alone.
 */
export async function readStoredRange(db: Queryable): Promise<{ first: number; last: number }> {
  const { rows } = await db.query(`
    SELECT coalesce(min((SELECT seq FROM raw_events WHERE partition = p.id ORDER BY seq LIMIT 1)), 0) AS first,
           coalesce(max((SELECT seq FROM raw_events WHERE partition = p.id ORDER BY seq DESC LIMIT 1)), 0) AS last
    FROM partitions p`)
  return rows[0]
}

/** Converts a row with RAW_EVENT_COLUMNS to an event. */
// biome-ignore lint/suspicious/noExplicitAny: a row has the shape of the statement above.
export function rawEventOf(row: any): RawEvent {
  return {
    seq: row.seq,
    tenantId: row.tenant_id,
    id: row.event_id,
    ...(row.external_id !== null && { externalId: row.external_id }),
    type: row.type,
    source: row.source,
    key: row.key,
    partition: row.partition,
    occurredAt: momentOf(row.occurred_at),
    acceptedAt: row.accepted_at.toISOString(),
    correlationId: row.correlation_id,
    ...(row.causation_id !== null && { causationId: row.causation_id }),
    ...(row.traceparent !== null && { traceparent: row.traceparent }),
    ...(row.extensions !== null && { extensions: row.extensions }),
    ...(row.hops > 0 && { hops: row.hops }),
    payload: row.payload,
  }
}
