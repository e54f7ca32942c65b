/**
 * `operations`: replays and discards that an operator started and a process carries out, part by part.
 *
 * An operation is *running* → *finished*. It becomes *interrupted* if its process stops or has given no sign of life
 * for a while, and runs again if an operator resumes it; *cancelled* is final. Its progress is in its row, written in
 * the same transaction as the changes. So no event is changed twice, no matter how often and by which process the
 * operation is continued.
 */
import { asTenant } from '../server/as-tenant.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from '../tenants/audit-log.js'
import { lockTenant, requireWithin } from '../tenants/tenants.js'
import { type Extent, operateOnPart, type Selection, WINDOW } from './replay.js'

type OperationStatus = 'running' | 'finished' | 'interrupted' | 'cancelled'

export interface Operation extends Selection {
  id: string
  /** The maximum rate, in events a second. */
  rate: number
  /** The schema version that replayed events are read as; `null`: the version that each event states. */
  schemaVersion: number | null
  reason: string | null
  requestedBy: string
  /** How many events matched when it was started. Others may change some of them in the meantime. */
  total: number
  done: number
  status: OperationStatus
  startedAt: Date
  finishedAt: Date | null
}

/** An operation whose process has given no sign of life for this long, in milliseconds, counts as interrupted. */
const ALIVE_MS = 30_000

/** The most operations of a tenant that run at once: each of them works continuously. */
const RUNNING = {
  count: `SELECT count(*) FROM operations WHERE tenant_id = $1 AND status = 'running'`,
  limit: 10,
  what: 'running operations: wait until one has finished, or cancel one',
}

/** While this many events of the tenant are in `retries`, no replay adds more: their owners keep them in memory. */
const MAX_WAITING = 10_000

const COLUMNS = `
  id, kind, tenant_id AS "tenantId", filter, rate, schema_version AS "schemaVersion", reason, requested_by AS "requestedBy", total, done, status,
  started_at AS "startedAt", finished_at AS "finishedAt"`

/**
 * Starts an operation on the events of this extent, with a row in the audit log. Rejects with TenantLimitError if too
 * many run.
 */
export async function createOperation(
  db: Db,
  asked: Pick<Operation, 'kind' | 'tenantId' | 'filter' | 'rate' | 'schemaVersion' | 'reason' | 'requestedBy'>,
  { count, first, last }: Extent,
): Promise<Operation> {
  const { kind, tenantId, filter, rate, schemaVersion, reason, requestedBy } = asked
  return withTransaction(db, async (tx) => {
    await lockTenant(tx, tenantId)
    await interruptLifeless(tx)
    const { rows } = await tx.query(
      `INSERT INTO operations (kind, tenant_id, filter, rate, schema_version, reason, requested_by, total, after_seq, until_seq)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING ${COLUMNS}`,
      [
        ...[kind, tenantId, JSON.stringify(filter), rate, schemaVersion, reason, requestedBy, count],
        ...[Math.max(0, first - 1), last],
      ],
    )
    const operation: Operation = rows[0]
    await requireWithin(tx, tenantId, RUNNING)
    await audit(tx, operation, operation.requestedBy, kind)
    return operation
  })
}

/** Resolves with the operation, or undefined. If its process is gone, it is interrupted. */
export async function findOperation(db: Db, tenantId: string, id: string): Promise<Operation | undefined> {
  await interruptLifeless(db)
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(`SELECT ${COLUMNS} FROM operations WHERE tenant_id = $1 AND id = $2`, [tenantId, id]),
  )
  return rows[0]
}

/** Resolves with the last operations, the newest first. Those whose process is gone are interrupted. */
export async function listOperations(db: Db, tenantId: string, limit: number): Promise<Operation[]> {
  await interruptLifeless(db)
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(`SELECT ${COLUMNS} FROM operations WHERE tenant_id = $1 ORDER BY started_at DESC, id LIMIT $2`, [
      tenantId,
      limit,
    ]),
  )
  return rows
}

async function interruptLifeless(db: Queryable): Promise<void> {
  await db.query(
    `UPDATE operations SET status = 'interrupted'
     WHERE status = 'running' AND alive_at < now() - $1 * interval '1 millisecond'`,
    [ALIVE_MS],
  )
}

/** An operation, identified within its tenant. */
type OneOperation = Pick<Operation, 'tenantId' | 'id'>

/**
 * Resumes an interrupted operation where it stopped. Resolves with undefined if it is not interrupted. Rejects with
 * TenantLimitError if too many run.
 */
export async function resumeOperation(db: Db, one: OneOperation, by: string): Promise<Operation | undefined> {
  return changeStatus(db, one, by, 'resume', ['interrupted'], 'running')
}

/** Cancels an operation for good; what it has done is not undone. Resolves with undefined if it has already ended. */
export async function cancelOperation(db: Db, one: OneOperation, by: string): Promise<Operation | undefined> {
  return changeStatus(db, one, by, 'cancel', ['running', 'interrupted'], 'cancelled')
}

async function changeStatus(
  db: Db,
  { tenantId, id }: OneOperation,
  by: string,
  action: string,
  from: readonly OperationStatus[],
  to: OperationStatus,
): Promise<Operation | undefined> {
  return withTransaction(db, async (tx) => {
    await lockTenant(tx, tenantId)
    const { rows } = await tx.query(
      `UPDATE operations SET status = $3::text, alive_at = now(), finished_at = CASE $3 WHEN 'cancelled' THEN now() END
       WHERE id = $1 AND status = ANY($2::text[]) AND tenant_id = $4 RETURNING ${COLUMNS}`,
      [id, from, to, tenantId],
    )
    const operation: Operation | undefined = rows[0]
    if (to === 'running') await requireWithin(tx, tenantId, RUNNING)
    if (operation) await audit(tx, operation, by, action)
    return operation
  })
}

async function audit(tx: Queryable, operation: Operation, actor: string, action: string): Promise<void> {
  const { tenantId, id, filter, schemaVersion, total, reason } = operation
  const subject = schemaVersion === null ? {} : { subject: `as schema version ${schemaVersion}` }
  await recordAudit(tx, { tenantId, actor, action, operationId: id, ...subject, filter, count: total, reason })
}

/** Records that the process that ran an operation no longer does. */
export async function interruptOperation(db: Queryable, id: string): Promise<void> {
  await db.query(`UPDATE operations SET status = 'interrupted' WHERE id = $1 AND status = 'running'`, [id])
}

/** The result of one step of an operation. `crowded`: nothing was done, because too many events are in `retries`. */
export interface Step {
  status: OperationStatus
  changed: number
  crowded: boolean
}

/**
 * Does the next part of an operation, at most `limit` events, completely or not at all. The row is locked meanwhile, so
 * that two processes that both try to run the operation take turns. Resolves with undefined if it is not running.
 */
export async function advanceOperation(db: Db, id: string, limit: number): Promise<Step | undefined> {
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query(
      `SELECT ${COLUMNS}, after_seq AS after, until_seq AS "lastSeq" FROM operations
       WHERE id = $1 AND status = 'running' FOR UPDATE`,
      [id],
    )
    const operation: (Operation & { after: number; lastSeq: number }) | undefined = rows[0]
    if (!operation) return undefined
    const { after, lastSeq, requestedBy, reason } = operation
    const crowded = operation.kind !== 'discard-dead-letters' && (await isCrowded(tx, operation.tenantId))
    const until = crowded ? after : Math.min(after + WINDOW, lastSeq)
    const { changed, reached } =
      until > after
        ? await operateOnPart(tx, operation, { operationId: id, after, until, limit, requestedBy, reason })
        : { changed: 0, reached: after }
    const status = reached >= lastSeq ? 'finished' : 'running'
    await tx.query(
      `UPDATE operations SET done = $2, after_seq = $3, alive_at = now(), status = $4::text,
                             finished_at = CASE $4 WHEN 'finished' THEN now() END
       WHERE id = $1`,
      [id, operation.done + changed, reached, status],
    )
    return { status, changed, crowded }
  })
}

async function isCrowded(tx: Queryable, tenantId: string): Promise<boolean> {
  const { rows } = await tx.query(
    'SELECT count(*) >= $2 AS crowded FROM (SELECT FROM retries WHERE tenant_id = $1 LIMIT $2) waiting',
    [tenantId, MAX_WAITING],
  )
  return rows[0].crowded
}
