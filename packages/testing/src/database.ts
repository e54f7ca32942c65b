/** A database for each pipeline: made as a copy of one that has all tables, and dropped in the end. */
import { randomBytes } from 'node:crypto'
import { connect } from '@eventflow/db'
import type { ServerAddresses } from './server-addresses.js'

/** Makes a database of a new name; gives its URL for the role of the pipeline's programs. */
export async function createDatabase({ postgres, postgresAdmin, template }: ServerAddresses): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await administer(postgresAdmin, `CREATE DATABASE ${name} TEMPLATE ${template} OWNER eventflow_owner`)
  return databaseUrl(postgres, name)
}

/** Drops the database, and ends the connections to it. */
export async function dropDatabase({ postgresAdmin }: ServerAddresses, url: string): Promise<void> {
  await administer(postgresAdmin, `DROP DATABASE ${new URL(url).pathname.slice(1)} WITH (FORCE)`)
}

/** Runs a statement on the server as its superuser. */
export async function administer(adminUrl: string, statement: string): Promise<void> {
  const db = connect({ url: adminUrl, applicationName: 'eventflow-testing', max: 1, onIdleError: () => {} })
  try {
    await db.query(statement)
  } finally {
    await db.end()
  }
}

/** The URL of another database on the same server. */
export function databaseUrl(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = name
  return url.href
}
