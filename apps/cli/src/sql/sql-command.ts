/** The command `eventflow sql`. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { findPostgres, findStandby } from '../addresses.js'
import type { Print } from '../table.js'

/** A shell command: less if it is installed. */
const DEFAULT_PAGER = 'command -v less > /dev/null && exec less || exec cat'

/** Declares the command. `closed`: aborted when the output is closed; `end` sets the exit code. */
export function sqlCommand(
  command: Command,
  { env, note, closed, end }: { env: NodeJS.ProcessEnv; note: Print; closed: AbortSignal; end: (code: number) => void },
): void {
  command
    .argument('[statements]', 'separated by semicolons')
    .addOption(new Option('--csv', 'print CSV').conflicts('json'))
    .option('--primary', 'use the primary, also if there is a standby for reads')
    .option('--no-pager', 'do not page long output through $PAGER')
    .addHelpText(
      'after',
      '\nUses the standby for reads if there is one: DATABASE_REPLICA_URL, or that of eventflow up.',
    )
    .addHelpText('after', 'Statements have no time limit; Ctrl-C cancels one.')
    .addHelpText('after', 'Exit code: 0, 1 when a statement fails, 2 when Postgres does not answer, 130 when stopped.')
    .addHelpText('after', '\nExample: eventflow sql "SELECT status, count(*) FROM events GROUP BY status"')
    .action(async (statement, { dataDir, json, csv, primary, pager }) => {
      const { sql } = await import('./sql.js')
      const code = await sql(await findPostgres(env, resolve(dataDir)), {
        statement,
        standby: await findStandby(env, resolve(dataDir)),
        onPrimary: primary === true,
        format: json ? 'json' : csv ? 'csv' : 'table',
        input: process.stdin,
        output: process.stdout,
        note,
        pager: pager ? env.PAGER || DEFAULT_PAGER : undefined,
        env,
        historyFile: join(homedir(), '.eventflow_sql_history'),
        onInterrupt(listener) {
          process.on('SIGINT', listener)
          closed.addEventListener('abort', listener)
        },
      })
      end(code)
    })
}
