/**
 * Consumer groups of programs outside of EventFlow: the log is theirs to read, and Postgres remembers up to where each of
 * them has handled it. A name belongs to its tenant.
 */
import type { LogPlace } from '../log/read-log.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from '../tenants/audit-log.js'
import { lockTenant, requireWithin } from '../tenants/tenants.js'

const GROUPS = {
  count: `SELECT count(*) FROM consumer_groups WHERE tenant_id = $1 AND kind = 'external'`,
  limit: 100,
  what: 'consumer groups: delete one that is not needed any more',
}

/** A group, by its tenant and name. */
export interface GroupName {
  tenantId: string
  name: string
}

/** Where a group is. */
export interface ExternalGroup {
  /** Why it is paused; null while it runs. */
  pausedFor: string | null
  /** Its last handled position in each partition, in the order of the partitions. */
  places: LogPlace[]
}

/** The name belongs to a consumer that is defined in code: its positions are its own business. */
export class DefinedInCodeError extends Error {
  override name = 'DefinedInCodeError'
}

/** Resolves with a group, undefined if there is none. Rejects with DefinedInCodeError if a worker runs it. */
export async function readExternalGroup(
  db: Queryable,
  { tenantId, name }: GroupName,
): Promise<ExternalGroup | undefined> {
  const { rows } = await db.query({
    name: 'read-external-group',
    text: `
      SELECT kind, paused_for AS "pausedFor",
             (SELECT json_agg(json_build_object('partition', c.partition, 'after', c.position) ORDER BY c.partition)
              FROM group_cursors c WHERE c.group_id = g.group_id AND c.generation = g.generation) AS places
      FROM consumer_groups g WHERE tenant_id = $1 AND name = $2`,
    values: [tenantId, name],
  })
  const [group] = rows
  if (!group) return undefined
  if (group.kind !== 'external') throw new DefinedInCodeError()
  return { pausedFor: group.pausedFor, places: group.places }
}

/** What a group has handled. */
export interface Commit extends GroupName {
  /** Up to these positions, one for a partition. */
  handled: readonly LogPlace[]
  /**
   * A place in every partition: where a new group begins if it has handled nothing there, and with `reset` where it goes
   * on. Without it, no group is created.
   */
  from: readonly LogPlace[] | undefined
  /** Positions may also go back. Otherwise those that would stay as they are. */
  reset: boolean
  /** Who asked for it, for the audit log. */
  by: string
}

/**
 * Records what a group has handled, in all partitions or in none. Resolves with its places, and whether it was created;
 * with undefined if there is no group of this name. Rejects with DefinedInCodeError if a worker runs it, and with
 * TenantLimitError if the tenant has too many groups.
 */
export function commitPositions(db: Db, commit: Commit): Promise<{ created: boolean; places: LogPlace[] } | undefined> {
  const { tenantId, name, handled, from, reset, by } = commit
  return withTransaction(db, async (tx) => {
    const created = from !== undefined && (await createGroup(tx, { tenantId, name }, from))
    // Commits of a group take turns.
    await tx.query('SELECT FROM consumer_groups WHERE tenant_id = $1 AND name = $2 FOR NO KEY UPDATE', [tenantId, name])
    if (!(await readExternalGroup(tx, commit))) return undefined
    const given = new Set(handled.map(({ partition }) => partition))
    const others = (reset && from?.filter(({ partition }) => !given.has(partition))) || []
    const places = [...handled, ...others]
    const { rowCount } = await tx.query({
      name: 'commit-positions',
      text: `
        UPDATE group_cursors c SET position = e.position, moved_at = now()
        FROM consumer_groups g, unnest($3::smallint[], $4::bigint[]) AS e(partition, position)
        WHERE g.tenant_id = $1 AND g.name = $2 AND c.group_id = g.group_id AND c.generation = g.generation
          AND c.partition = e.partition AND (c.position < e.position OR $5 AND c.position > e.position)`,
      values: [tenantId, name, ...columnsOf(places), reset || created],
    })
    if (reset && !created) {
      const subject = `group ${name}: ${rowCount} partitions`
      await recordAudit(tx, { tenantId, actor: by, action: 'reset-group', subject, filter: {}, count: 0, reason: null })
    }
    return { created, places: (await readExternalGroup(tx, commit))!.places }
  })
}

/** Creates the group, unless there is one of this name. Resolves with whether it did. */
async function createGroup(tx: Queryable, { tenantId, name }: GroupName, from: readonly LogPlace[]): Promise<boolean> {
  await lockTenant(tx, tenantId)
  const { rows } = await tx.query(
    `INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ($1, $2, 'external')
     ON CONFLICT DO NOTHING RETURNING group_id AS id`,
    [tenantId, name],
  )
  if (!rows[0]) return false
  await requireWithin(tx, tenantId, GROUPS)
  await tx.query(
    `INSERT INTO group_cursors (group_id, partition, position)
     SELECT $1, partition, position FROM unnest($2::smallint[], $3::bigint[]) AS e(partition, position)`,
    [rows[0].id, ...columnsOf(from)],
  )
  return true
}

const columnsOf = (places: readonly LogPlace[]) =>
  [places.map(({ partition }) => partition), places.map(({ after }) => after)] as const
