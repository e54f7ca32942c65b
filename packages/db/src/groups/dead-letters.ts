/**
 * `group_dead_letters` for operators: the events that a consumer group has failed to handle. A replayed one is parked in
 * the group, where the owner of its partition finds it; the cursor does not move.
 */
import { type EventFilter, filterValues, matchesFilter } from '../ledger/event-filter.js'
import { replayMark } from '../ledger/replay-mark.js'
import { type DeadLetterStatus, hasRow } from '../ledger/settled.js'
import { asTenant } from '../server/as-tenant.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { auditGroup, type GroupRow, GroupStateError, lockGroup } from './group-row.js'
import type { GroupChange } from './operate.js'

/** Dead letters of a group. Their events may be of any tenant if the group is in code. */
export interface GroupDeadLetters {
  group: Pick<GroupRow, 'groupId' | 'tenantId' | 'kind'>
  filter: EventFilter
  /** All statuses if missing. */
  status?: DeadLetterStatus
}

// biome-ignore lint/suspicious/noExplicitAny: a row of the table, passed on as JSON.
type DeadLetterRow = Record<string, any>

/** The most dead letters that one change replays or discards. */
const MAX_CHANGED = 1_000

/** While this many events of a group are parked, no replay adds more: their owners keep them in memory. */
const MAX_PARKED = 10_000

/** Up to how many dead letters are counted. */
const MAX_COUNTED = 10_000

/** $1 is the group, and $2 to $7 are the values of the filter. */
const MATCHING = `
  FROM group_dead_letters e
  WHERE e.group_id = $1 AND ${matchesFilter('e.failed_at')} AND ($7::text IS NULL OR e.error_class = $7)`
const OPEN = `${MATCHING} AND e.status = 'open'`

/** Its entry is still in the log: a group reads parked events from there. */
const IN_LOG = `(${hasRow('processed_events')} OR ${hasRow('log_replaying')})`

const valuesOf = (groupId: number, filter: EventFilter) => [groupId, ...filterValues('', filter).slice(1)]

/** Runs a statement about a group: as its tenant, unless the group reads the events of all tenants. */
function queryOf(db: Db, { kind, tenantId }: GroupDeadLetters['group']) {
  return (text: string, values: unknown[]) =>
    kind === 'external' ? asTenant(db, tenantId, (tx) => tx.query(text, values)) : db.query(text, values)
}

/**
 * Resolves with a page of dead letters of a group, without payload and history, the last accepted first; `before` is the
 * `seq` to continue from.
 */
export async function listGroupDeadLetters(
  db: Db,
  { group, filter, status }: GroupDeadLetters,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<DeadLetterRow[]> {
  const { rows } = await queryOf(db, group)(
    `SELECT seq, tenant_id, event_id, type, key, status, attempts, failure_type, error_class, message, component,
            correlation_id, accepted_at, failed_at, resolved_at, resolved_by, reason
     ${MATCHING} AND ($8::text IS NULL OR e.status = $8) AND ($9::bigint IS NULL OR e.seq < $9)
     ORDER BY seq DESC LIMIT $10`,
    [...valuesOf(group.groupId, filter), status, before, limit],
  )
  return rows
}

/** Resolves with one complete dead letter of a group, whose event is of this tenant, or undefined. */
export async function findGroupDeadLetter(
  db: Db,
  groupId: number,
  event: { tenantId: string; id: string },
): Promise<DeadLetterRow | undefined> {
  const { rows } = await asTenant(db, event.tenantId, (tx) =>
    tx.query('SELECT * FROM group_dead_letters WHERE group_id = $1 AND tenant_id = $2 AND event_id = $3', [
      groupId,
      event.tenantId,
      event.id,
    ]),
  )
  return rows[0]
}

/** What a replay or a discard would change. */
export interface GroupDeadLetterExtent {
  /** Counted up to 10,000. */
  count: number
  more: boolean
  /** Those among them whose events were removed from the log: they cannot be replayed. */
  removed: number
  /** When they were counted, by the clock of the database. */
  at: Date
  samples: DeadLetterRow[]
}

/** Resolves with the open dead letters that match, and a few of the first of them. */
export async function countGroupDeadLetters(
  db: Db,
  { group, filter }: Omit<GroupDeadLetters, 'status'>,
): Promise<GroupDeadLetterExtent> {
  const query = queryOf(db, group)
  const values = valuesOf(group.groupId, filter)
  const { rows: counts } = await query(
    `SELECT count(*) AS count, count(*) FILTER (WHERE NOT ${IN_LOG}) AS removed, now() AS at
     FROM (SELECT e.seq ${OPEN} LIMIT ${MAX_COUNTED + 1}) e`,
    values,
  )
  const { rows: samples } = await query(
    `SELECT tenant_id, event_id, type, key, accepted_at, error_class, message ${OPEN} ORDER BY e.seq LIMIT 5`,
    values,
  )
  const { count, removed, at } = counts[0]
  return { count: Math.min(count, MAX_COUNTED), more: count > MAX_COUNTED, removed, at, samples }
}

/** A change of open dead letters of a group. */
export interface GroupDeadLetterChange extends GroupChange {
  filter: EventFilter
  reason: string | null
}

/** How many dead letters a change has changed. `more`: as many as one change may; others match, too. */
export interface GroupDeadLettersChanged {
  changed: number
  more: boolean
}

const CHOSEN = (condition: string) => `
  SELECT e.* ${OPEN} AND ${condition} ORDER BY e.seq LIMIT $8 FOR UPDATE`

const RESOLVED = (status: 'replaying' | 'discarded') => `
  UPDATE group_dead_letters d
  SET status = '${status}', resolved_at = ${status === 'discarded' ? 'now()' : 'NULL'}, resolved_by = $9, reason = $10
  FROM chosen c WHERE d.group_id = c.group_id AND d.seq = c.seq`

// Each becomes due a microsecond after the one before: those of a key are handled in their order.
const REPLAY = `
  WITH chosen AS (${CHOSEN(IN_LOG)}),
       resolved AS (${RESOLVED('replaying')}),
       parked AS (
         INSERT INTO group_parked (group_id, seq, partition, position, tenant_id, attempts, due_at, history)
         SELECT group_id, seq, partition, position, tenant_id, 0,
                now() + row_number() OVER (ORDER BY position) * interval '1 microsecond',
                history || ${replayMark(`'requested by ' || $9::text || coalesce(': ' || $10::text, '')`)}
         FROM chosen
         ON CONFLICT (group_id, seq) DO UPDATE
           SET attempts = 0, due_at = excluded.due_at, history = excluded.history)
  SELECT count(*) AS changed FROM chosen`

const DISCARD = `
  WITH chosen AS (${CHOSEN('true')}), resolved AS (${RESOLVED('discarded')})
  SELECT count(*) AS changed FROM chosen`

/**
 * Replays open dead letters of a group, at most 1,000: they are handled again, with all attempts. Those whose
 * events were removed from the log stay open. Resolves with undefined if there is no such group. Rejects with
 * GroupStateError while too many events are parked.
 */
export function replayGroupDeadLetters(
  db: Db,
  change: GroupDeadLetterChange,
): Promise<GroupDeadLettersChanged | undefined> {
  return changeDeadLetters(db, change, 'replay')
}

/** Discards open dead letters of a group for good, at most 1,000. Resolves as `replayGroupDeadLetters`. */
export function discardGroupDeadLetters(
  db: Db,
  change: GroupDeadLetterChange,
): Promise<GroupDeadLettersChanged | undefined> {
  return changeDeadLetters(db, change, 'discard')
}

function changeDeadLetters(
  db: Db,
  change: GroupDeadLetterChange,
  action: 'replay' | 'discard',
): Promise<GroupDeadLettersChanged | undefined> {
  const { by, filter, reason } = change
  return withTransaction(db, async (tx) => {
    // A reset waits for this lock: it removes what is parked here.
    const group = await lockGroup(tx, change)
    if (!group) return undefined
    const limit = action === 'replay' ? Math.min(MAX_CHANGED, await roomToPark(tx, group)) : MAX_CHANGED
    const values = [...valuesOf(group.groupId, filter), limit, by, reason]
    const { rows } = await tx.query(action === 'replay' ? REPLAY : DISCARD, values)
    const { changed } = rows[0]
    if (changed > 0) {
      await auditGroup(tx, group, { by, action: `${action}-group-dead-letters`, filter, count: changed, reason })
    }
    return { changed, more: changed === limit }
  })
}

/** Resolves with the number of events that may be parked in a group. Rejects with GroupStateError if there is no room. */
async function roomToPark(tx: Queryable, { groupId, name }: GroupRow): Promise<number> {
  const { rows } = await tx.query(
    'SELECT count(*) AS parked FROM (SELECT FROM group_parked WHERE group_id = $1 LIMIT $2) parked',
    [groupId, MAX_PARKED],
  )
  const room = MAX_PARKED - rows[0].parked
  if (room > 0) return room
  throw new GroupStateError(`${MAX_PARKED} events of the group ${name} are parked: replay more once they are handled`)
}
