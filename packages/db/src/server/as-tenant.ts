/** Reads for a tenant behind the second wall: Postgres shows every statement only rows of that tenant. */
import { type Db, type Queryable, withTransaction } from './connect.js'

/** Runs `work` in a transaction with the role that sees only the rows of this tenant and may change nothing. */
export async function asTenant<Result>(
  db: Db,
  tenantId: string,
  work: (tx: Queryable) => Promise<Result>,
): Promise<Result> {
  return withTransaction(db, async (tx) => {
    await becomeTenant(tx, tenantId)
    return work(tx)
  })
}

/** Goes on with the role that sees only the rows of this tenant, until the transaction ends. */
export async function becomeTenant(tx: Queryable, tenantId: string): Promise<void> {
  await tx.query({
    name: 'as-tenant',
    text: `SELECT set_config('role', 'eventflow_tenant', true), set_config('eventflow.tenant', $1, true)`,
    values: [tenantId],
  })
}
