/** The roles and the database of the local Postgres, as statements that can be run at every start. */
import { readFile } from 'node:fs/promises'

/** The superuser that initdb creates, for administrators. */
export const ADMINISTRATOR = 'eventflow_admin'

/** The role of all programs of the pipeline. */
export const APPLICATION = 'eventflow'

/** The role with which a standby logs in. */
export const REPLICATION = 'eventflow_standby'

/** The database. */
export const DATABASE = 'eventflow'

/**
 * Creates the database; to be run in the database `postgres`. In a data folder of an earlier version the first
 * superuser has the name of the programs' role: it cannot lose its power, so it gets another name.
 */
export const DATABASE_STATEMENTS = [
  `DO $$ BEGIN
    IF (SELECT rolname = '${APPLICATION}' FROM pg_roles WHERE oid = 10) THEN
      CREATE ROLE eventflow_upgrade SUPERUSER;
      SET SESSION AUTHORIZATION eventflow_upgrade;
      ALTER ROLE ${APPLICATION} RENAME TO ${ADMINISTRATOR};
      SET SESSION AUTHORIZATION ${ADMINISTRATOR};
      DROP ROLE eventflow_upgrade;
    END IF;
  END $$`,
  `CREATE DATABASE ${DATABASE}`,
]

/** Creates the roles; to be run in the pipeline's database. */
export async function roleStatements(passwords: { application: string; administrator: string }): Promise<string[]> {
  return [
    `ALTER ROLE ${ADMINISTRATOR} PASSWORD '${passwords.administrator}'`,
    `SET eventflow.password = '${passwords.application}'`,
    await readFile(new URL('../postgres-roles.sql', import.meta.url), 'utf8'),
  ]
}

/** Creates the role of a standby. */
export function replicationStatements(password: string): string[] {
  return [
    `DO $$ BEGIN
      IF to_regrole('${REPLICATION}') IS NULL THEN CREATE ROLE ${REPLICATION}; END IF;
    END $$`,
    `ALTER ROLE ${REPLICATION} LOGIN REPLICATION PASSWORD '${password}'`,
  ]
}
