/** What is accepted and not settled: the work list as Postgres knows it. */
import type { RawEvent } from '@eventflow/core'
import { type Queryable, STATEMENT_TIMEOUT_MS } from './connect.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'

/**
 * An event this old is *final*: no event with a lower seq can appear any more. A seq is drawn inside the INSERT, which ends,
 * one way or the other, within the statement timeout; the rest is a margin. (The order of seq is not the order of commit.)
 */
const FINAL_AFTER_MS = 2 * STATEMENT_TIMEOUT_MS

/** A part of a partition to look into: seq above `after`, up to `until`. */
export interface Range {
  partition: number
  after: number
  until: number
}

const READ_UNSETTLED = `
  SELECT ${RAW_EVENT_COLUMNS}
  FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS range(partition, after, until)
  CROSS JOIN LATERAL (
    SELECT * FROM raw_events e
    WHERE e.partition = range.partition AND e.seq > range.after AND e.seq <= range.until AND e.seq <> ALL($4::bigint[])
      AND NOT EXISTS (SELECT FROM processed_events p WHERE p.tenant_id = e.tenant_id AND p.event_id = e.event_id)
      AND NOT EXISTS (SELECT FROM failed_events f WHERE f.tenant_id = e.tenant_id AND f.event_id = e.event_id
                                                    AND f.status IN ('open', 'discarded'))
      AND NOT EXISTS (SELECT FROM retries w WHERE w.tenant_id = e.tenant_id AND w.event_id = e.event_id)
    ORDER BY e.seq LIMIT $5) r
  ORDER BY range.partition, r.seq`

/**
 * The first unsettled events of each range, at most `limit` of each, in the order of acceptance. `except` are the seqs of
 * events in the caller's hands. What waits in `retries` is not among them. All of one snapshot: whoever sees an event here
 * sees every event that was acknowledged before it was sent.
 */
export async function readUnsettled(
  db: Queryable,
  ranges: readonly Range[],
  { except, limit }: { except: readonly number[]; limit: number },
): Promise<RawEvent[]> {
  const { rows } = await db.query({
    name: 'read-unsettled',
    text: READ_UNSETTLED,
    values: [ranges.map((r) => r.partition), ranges.map((r) => r.after), ranges.map((r) => r.until), except, limit],
  })
  return rows.map(rawEventOf)
}

/** How far each partition goes. */
export interface Horizon {
  /** The highest seq there is. */
  last: number
  /** The highest seq below which no event can appear any more. */
  final: number
}

/** The horizons of partitions; both are 0 where there is no such event. */
export async function readHorizons(db: Queryable, partitions: readonly number[]): Promise<Map<number, Horizon>> {
  const { rows } = await db.query({
    name: 'read-horizons',
    text: `
      SELECT p.id,
             coalesce((SELECT seq FROM raw_events WHERE partition = p.id ORDER BY seq DESC LIMIT 1), 0) AS last,
             coalesce((SELECT seq FROM raw_events
                       WHERE partition = p.id AND accepted_at < now() - $2 * interval '1 millisecond'
                       ORDER BY seq DESC LIMIT 1), 0) AS final
      FROM unnest($1::smallint[]) AS p(id)`,
    values: [partitions, FINAL_AFTER_MS],
  })
  return new Map(rows.map(({ id, last, final }) => [id, { last, final }]))
}
