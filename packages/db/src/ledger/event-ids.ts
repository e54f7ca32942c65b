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
import { KEPT_BUCKET } from '../server/to-parts.js'

/** The row of `ledger`, as scalar subqueries: Postgres reads each once in a statement. */
const LEDGER = (column: string) => `(SELECT ${column} FROM ledger)`

// A scalar subquery: for EXISTS Postgres may choose to hash the whole table.
const IS_IN = (bucket: string) => `
  coalesce((SELECT true FROM event_ids i
            WHERE i.tenant_id = n.tenant_id AND i.event_id = n.event_id AND i.bucket = ${bucket}), false)`

/**
 * The CTEs `first` and `claimed`: `claimed` has the seqs of the rows of `numbered` (tenant_id, event_id, seq,
 * partition) whose ids were not known before. Ids are claimed in their order, so two statements with the same ids
 * cannot deadlock.
 */
export const CLAIM_IDS = (numbered: string) => `
  first AS (
    INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
    SELECT tenant_id, event_id,
           CASE WHEN ${LEDGER('turning')} THEN ${LEDGER('previous_bucket')} ELSE ${LEDGER('bucket')} END, seq, partition
    FROM ${numbered} n
    WHERE NOT ${IS_IN(String(KEPT_BUCKET))}
      AND (${LEDGER('turning')} OR ${LEDGER('previous_bucket')} IS NULL OR NOT ${IS_IN(LEDGER('previous_bucket'))})
    ORDER BY tenant_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, event_id, seq, partition),
  second AS (
    INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
    SELECT tenant_id, event_id, ${LEDGER('bucket')}, seq, partition FROM first WHERE ${LEDGER('turning')}
    ORDER BY tenant_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING seq),
  claimed AS (
    SELECT seq FROM first WHERE NOT ${LEDGER('turning')} UNION ALL SELECT seq FROM second)`

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
