/** The command `eventflow migrate`. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { findPostgres } from './addresses.js'
import { wholeNumber } from './arguments.js'
import type { Print } from './table.js'

/** Declares the command. `end` sets the exit code. */
export function migrateCommand(
  command: Command,
  { env, print, end }: { env: NodeJS.ProcessEnv; print: Print; end: (code: number) => void },
): void {
  command
    .addOption(
      new Option('--partitions <count>', 'number of partitions of a new database; cannot be changed later')
        .env('EVENTFLOW_PARTITIONS')
        .default(16)
        .argParser(wholeNumber(1, 1_024)),
    )
    .addOption(
      new Option('--part-events <count>', 'seqs of each of the first parts of a new database; 0 for the usual number')
        .env('EVENTFLOW_PART_EVENTS')
        .default(0)
        .argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER)),
    )
    .option('--dry-run', 'only print the missing migrations')
    .addHelpText('after', '\nExit code: 0, 1 when --dry-run finds missing migrations, 2 when Postgres does not answer.')
    .addHelpText('after', '\nExample: eventflow migrate --dry-run')
    .action(async ({ dataDir, ...options }) => {
      const { migrate } = await import('./migrate.js')
      const asked = { ...options, bootstrapKey: env.EVENTFLOW_BOOTSTRAP_KEY, print }
      end(await migrate(await findPostgres(env, resolve(dataDir)), asked))
    })
}
