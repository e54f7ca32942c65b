/** `user.updated`: a handler that depends on order, because the last update must win. */
import { defineEvent, Type } from '@eventflow/sdk'
import { addTenant } from '../tenant-tables.js'

export default defineEvent({
  type: 'user.updated',
  description:
    'A user has changed their profile. The table user_profiles holds the latest one of each, as the updates stay in order.',
  schema: Type.Object({
    userId: Type.String({ minLength: 1 }),
    email: Type.String({ format: 'email', 'x-sensitive': true }),
    name: Type.String({ minLength: 1, maxLength: 200 }),
  }),
  example: { userId: 'u-42', email: 'ada@example.com', name: 'Ada Lovelace' },
  key: (user) => user.userId,
  order: 'key',
  handle: async ({ tenantId, data, occurredAt }, tx) => {
    await tx.query(
      `INSERT INTO user_profiles (tenant_id, user_id, email, name, updated_at) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (tenant_id, user_id) DO UPDATE SET
         email = excluded.email, name = excluded.name, updated_at = excluded.updated_at`,
      [tenantId, data.userId, data.email, data.name, occurredAt],
    )
  },
  prepare: async (tx) => {
    await tx.query(`CREATE TABLE IF NOT EXISTS user_profiles (
      tenant_id text NOT NULL,
      user_id text NOT NULL,
      email text NOT NULL,
      name text NOT NULL,
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (tenant_id, user_id)
    )`)
    await addTenant('user_profiles', 'user_id', tx)
  },
})
