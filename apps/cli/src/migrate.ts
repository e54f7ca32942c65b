/** `eventflow migrate`: migrates the database, or says what that would do. */
import {
  migrate as applyMigrations,
  BootstrapKeyError,
  compareMigrations,
  createBootstrapKey,
  finishExpansion,
} from '@eventflow/db'
import { SetupError } from '@eventflow/local'
import { askPostgres } from './ask-postgres.js'
import type { Print } from './table.js'

/** Options of {@link migrate}. */
export interface MigrateOptions {
  /** How many partitions a new database gets. */
  partitions: number
  /** How many seqs each of the first parts of the ledger of a new database has; 0 or undefined: the usual number. */
  partEvents?: number
  /** The first API key of a new installation. */
  bootstrapKey?: string | undefined
  dryRun?: boolean
  json?: boolean
  print: Print
}

/**
 * Applies missing migrations. Resolves with the exit code: 1 if a dry run finds missing ones, or the database is of a
 * newer version.
 */
export async function migrate(
  postgres: string,
  { partitions, partEvents, bootstrapKey, dryRun, json, print }: MigrateOptions,
): Promise<number> {
  const { missing, unknown } = await askPostgres(postgres, compareMigrations)
  const newer = unknown.length > 0
  const applied =
    dryRun || newer ? [] : await applyMigrations(postgres, { partitions, partEvents: partEvents || undefined })
  if (!dryRun && !newer) await finishExpansion(postgres, { onProgress: json ? () => {} : print })
  if (bootstrapKey && !dryRun && !newer) await makeKey(postgres, bootstrapKey)
  if (json) print(JSON.stringify({ applied, missing: dryRun || newer ? missing : [], unknown }))
  else if (newer)
    print(`a newer version of EventFlow has applied ${unknown.join(', ')} to this database: install that version`)
  else if (dryRun) print(missing.length > 0 ? `missing: ${missing.join(', ')}` : 'up to date')
  else print(applied.length > 0 ? `applied: ${applied.join(', ')}` : 'up to date')
  return newer || (dryRun && missing.length > 0) ? 1 : 0
}

async function makeKey(postgres: string, key: string): Promise<void> {
  try {
    await askPostgres(postgres, (db) => createBootstrapKey(db, key))
  } catch (error) {
    throw error instanceof BootstrapKeyError ? new SetupError(error.message) : error
  }
}
