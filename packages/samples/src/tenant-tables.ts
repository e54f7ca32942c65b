/** Tables of the samples with data of each tenant: `tenant_id` is the first column of their primary key. */
import type { Sql } from '@eventflow/sdk'

/**
 * Adds the tenant to a table of an earlier release, whose primary key was `column` alone. Its rows are kept as those of
 * `default`. Leaves a table that has the tenant unchanged.
 */
export async function addTenant(table: string, column: string, tx: Sql): Promise<void> {
  const [known] = await tx.query(
    `SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'tenant_id' AND NOT attisdropped`,
    [table],
  )
  if (known) return
  await tx.query(`ALTER TABLE ${table} ADD COLUMN tenant_id text NOT NULL DEFAULT 'default',
    DROP CONSTRAINT ${table}_pkey, ADD PRIMARY KEY (tenant_id, ${column})`)
  await tx.query(`ALTER TABLE ${table} ALTER COLUMN tenant_id DROP DEFAULT`)
}
