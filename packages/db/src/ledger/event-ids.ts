/**
 * `event_ids`: the id of each event, with its seq. An event is accepted by claiming its id, so this table finds the
 * duplicates; the other tables of the ledger are keyed by seq.
 *
 * The ids are in buckets by time (`parts/buckets.ts`). An id is claimed in the current bucket, unless the previous one
 * or the bucket of kept ids has it. A bucket has every id of its time, so two look-ups find any id that is still known.
 *
 * While the current bucket is *turning*, some statements that began before still claim in the previous one. Claims that
 * do not see each other must meet: so for that time each id is claimed in the previous bucket first, then in the
 * current one, and belongs to the statement that gets both.
 */
import { FIRST_BUCKET, KEPT_BUCKET } from '../server/to-parts.js'

/** The state of the buckets, as in the row of `ledger`. */
export interface BucketState {
  bucket: number
  previous_bucket: number | null
  turning: boolean
}

/** Names the state. */
export const nameOf = ({ bucket, previous_bucket, turning }: BucketState) => `${bucket} ${previous_bucket} ${turning}`

/** The state in which a ledger begins. */
export const FIRST_STATE: BucketState = { bucket: FIRST_BUCKET, previous_bucket: null, turning: false }

// A scalar subquery: for EXISTS Postgres may choose to hash the whole table.
const IS_IN = (bucket: number) => `
  coalesce((SELECT true FROM event_ids i
            WHERE i.tenant_id = n.tenant_id AND i.event_id = n.event_id AND i.bucket = ${bucket}), false)`

const CLAIM = (bucket: number, rows: string) => `
    INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
    SELECT tenant_id, event_id, ${bucket}::smallint, seq, partition FROM ${rows}
    ORDER BY tenant_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, event_id, seq, partition`

/** Whether the buckets are in this state. */
export const isInState = ({ bucket, previous_bucket, turning }: BucketState) => `
  (SELECT bucket = ${bucket} AND previous_bucket IS NOT DISTINCT FROM ${previous_bucket} AND turning = ${turning}
   FROM ledger)`

/**
 * The CTEs that end with `claimed`, the rows of `numbered` (tenant_id, event_id, seq, partition) whose ids were not
 * known before. The buckets must be in the given state. As it is part of the text, Postgres knows the buckets when it
 * plans, and need not find them each time. Ids are claimed in their order, so two statements with the same ids cannot
 * deadlock.
 */
export function claimIds({ bucket, previous_bucket: previous, turning }: BucketState): string {
  const isNotKept = `NOT ${IS_IN(KEPT_BUCKET)}`
  if (previous === null) return `claimed AS (${CLAIM(bucket, `numbered n WHERE ${isNotKept}`)})`
  if (!turning) return `claimed AS (${CLAIM(bucket, `numbered n WHERE ${isNotKept} AND NOT ${IS_IN(previous)}`)})`
  return `
  first AS (${CLAIM(previous, `numbered n WHERE ${isNotKept}`)}),
  claimed AS (${CLAIM(bucket, 'first')})`
}

/**
 * Whether `row` of `raw_events` is the event of row `i`: a claim that was lost at a turn has a seq without an event.
 */
export const IS_EVENT_OF_ID = (row: string) => `
  ${row}.partition = i.partition AND ${row}.seq = i.seq
  AND ${row}.tenant_id = i.tenant_id AND ${row}.event_id = i.event_id`

/**
 * The rows of `event_ids` with the id of row `wanted`, as a lateral subquery. Postgres expects a look-up in every part
 * and bucket, not in the one that has the row, and would often rather read all of them; OFFSET 0 prevents that.
 */
export const IDS_OF = (wanted: string) => `
  LATERAL (SELECT * FROM event_ids
           WHERE tenant_id = ${wanted}.tenant_id AND event_id = ${wanted}.event_id OFFSET 0)`

/** The event of a row with `partition` and `seq`, as a lateral subquery, for the same reason. */
export const EVENT_OF = (row: string) => `
  LATERAL (SELECT * FROM raw_events WHERE partition = ${row}.partition AND seq = ${row}.seq OFFSET 0)`

/**
 * The events with the ids in `wanted` (tenant_id, event_id), as rows `r` of `raw_events`. Each event once: an id that
 * was claimed during a turn, or is kept, is in several buckets.
 */
export const EVENTS_BY_ID = (wanted: string) => `
  ${wanted} AS wanted
  CROSS JOIN LATERAL (SELECT DISTINCT i.tenant_id, i.event_id, i.partition, i.seq FROM ${IDS_OF('wanted')} i) i
  JOIN ${EVENT_OF('i')} r ON ${IS_EVENT_OF_ID('r')}`
