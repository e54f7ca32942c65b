/** `consumer_groups`: the consumer groups that definitions describe. */
import { type Beginning, positionsOf } from '../log/beginning.js'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { OPERATOR_TENANT } from '../tenants/tenants.js'
import { beginGeneration, type StateDefinition } from './generations.js'

export interface GroupDefinition {
  name: string
  version: number
  types: readonly string[]
  from: Beginning
  /** Of a window or a join. */
  state?: StateDefinition
}

/** The definition does not fit the group that the database has. */
export class GroupMismatchError extends Error {
  override name = 'GroupMismatchError'
}

/**
 * Makes the groups that do not exist yet, and records the version and the types of the others. Resolves with the id of
 * each group by its name. Rejects with GroupMismatchError if the database has a later version of a group, or a group of
 * that name whose reader is another program.
 */
export function registerGroups(db: Db, definitions: readonly GroupDefinition[]): Promise<Map<string, number>> {
  return withTransaction(db, async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.groups])
    const ids = new Map<string, number>()
    for (const definition of definitions) ids.set(definition.name, await registerGroup(tx, definition))
    return ids
  })
}

async function registerGroup(tx: Queryable, definition: GroupDefinition): Promise<number> {
  const { name, version, types, from, state } = definition
  const kind = state?.kind ?? 'consumer'
  const { rows } = await tx.query(
    `SELECT group_id, kind, version, hash, generation, building FROM consumer_groups
     WHERE tenant_id = $1 AND name = $2 FOR NO KEY UPDATE`,
    [OPERATOR_TENANT, name],
  )
  const [known] = rows
  if (!known) return createGroup(tx, definition)
  if (known.kind !== kind) {
    throw new GroupMismatchError(
      known.kind === 'external'
        ? `the consumer group '${name}' is read by another program over HTTP: use another name`
        : `'${name}' is a ${known.kind} in the database, and a ${kind} in its definition: use another name`,
    )
  }
  if (known.version > version) {
    throw new GroupMismatchError(
      `the consumer group '${name}' has version ${known.version} in the database, and its definition has ${version}`,
    )
  }
  if (state && known.version === version && known.hash !== state.hash) {
    throw new GroupMismatchError(
      `the definition of the ${kind} '${name}' has changed, and what was counted so far does not fit it: raise its ` +
        `version (${version} now), and it is built anew from the log`,
    )
  }
  await tx.query('UPDATE consumer_groups SET version = $2, types = $3 WHERE group_id = $1', [
    known.group_id,
    version,
    types,
  ])
  if (state && known.version < version) {
    const start = from === 'latest' ? undefined : await positionsOf(tx, from)
    const group = { groupId: known.group_id, generation: known.generation, building: known.building }
    await beginGeneration(tx, group, state, start)
  }
  return known.group_id
}

async function createGroup(tx: Queryable, { name, version, types, from, state }: GroupDefinition): Promise<number> {
  const { rows } = await tx.query(
    `INSERT INTO consumer_groups (tenant_id, name, kind, version, types, hash, out_of_orderness, idle)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING group_id`,
    [OPERATOR_TENANT, name, state?.kind ?? 'consumer', version, types, state?.hash, state?.outOfOrderness, state?.idle],
  )
  const [{ group_id: id }] = rows as [{ group_id: number }]
  const positions = await positionsOf(tx, from)
  await tx.query(
    `INSERT INTO group_cursors (group_id, partition, position, began)
     SELECT $1, partition, position, position FROM unnest($2::smallint[], $3::bigint[]) AS c(partition, position)`,
    [id, [...positions.keys()], [...positions.values()]],
  )
  await tx.query('INSERT INTO group_leases (group_id, partition) SELECT $1, id FROM partitions', [id])
  return id
}
