/** The commands `eventflow parts`, `eventflow archive` and `eventflow restore`. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { findPostgres } from '../addresses.js'
import { wholeNumber } from '../arguments.js'
import type { Print } from '../table.js'

/** Declares the commands. `looking` declares one that uses the database; `end` sets the exit code. */
export function partsCommands(
  looking: (name: string, description: string) => Command,
  { env, print, note, end }: { env: NodeJS.ProcessEnv; print: Print; note: Print; end: (code: number) => void },
): void {
  const said = { print, note }

  looking('parts', 'Show the parts of the ledger: range, events, size, age, and whether each was archived.')
    .addHelpText('after', '\nExample: eventflow parts --json')
    .action(async ({ dataDir, json }) => {
      const { showParts } = await import('./parts.js')
      end(await showParts(await findPostgres(env, resolve(dataDir)), { json, ...said }))
    })

  looking('archive', 'Copy closed parts of the ledger into compressed files with checksums.')
    .requiredOption('--out <folder>', 'folder in which each part gets a folder')
    .option(
      '--part <number>',
      'only this part; without it, all that were not archived yet',
      wholeNumber(0, 2 ** 31 - 1),
    )
    .option('--older-than <days>', 'only parts whose youngest event is older', wholeNumber(0, 36_500))
    .addHelpText('after', '\nExit code: 0, 1 when a part cannot be archived, 2 when Postgres does not answer.')
    .addHelpText('after', '\nExample: eventflow archive --out /backup/eventflow --older-than 30')
    .action(async ({ dataDir, out, ...options }) => {
      const { archive } = await import('./parts.js')
      end(await archive(await findPostgres(env, resolve(dataDir)), { ...options, out: resolve(out), ...said }))
    })

  looking('restore', 'Put an archived part back. Nothing is delivered again, and nothing that is there is changed.')
    .argument('<folder>', 'the folder of the part, such as /backup/eventflow/part-3')
    .option('--keep-days <days>', 'days for which retention leaves it alone', wholeNumber(1, 36_500), 7)
    .addHelpText('after', '\nExit code: 0, 1 when it cannot be restored, 2 when Postgres does not answer.')
    .addHelpText('after', '\nExample: eventflow restore /backup/eventflow/part-3 --keep-days 30')
    .action(async (folder, { dataDir, json, keepDays }) => {
      const { restore } = await import('./parts.js')
      const options = { folder: resolve(folder), keepDays, json, ...said }
      end(await restore(await findPostgres(env, resolve(dataDir)), options))
    })
}
