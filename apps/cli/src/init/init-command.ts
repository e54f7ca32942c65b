/** `eventflow init` on the command line. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Print } from '../table.js'

/** Adds the command. */
export function initCommand(program: Command, print: Print): void {
  program
    .command('init')
    .description('Make a project: one event type with its test, ready for npm start and npm test.')
    .argument('<folder>', 'a new or empty folder; its name is the name of the project')
    .option('--from <folder>', 'take the packages of EventFlow from tarballs in this folder, not from the registry')
    .addHelpText('after', '\nExit code: 0, 1 when the folder is not empty or a tarball is missing, 64 for a bad name.')
    .addHelpText('after', '\nExample: eventflow init my-app')
    .action(async (folder: string, { from }: { from?: string }) => {
      const { init } = await import('./init.js')
      await init({ folder: resolve(folder), from: from === undefined ? undefined : resolve(from), print })
    })
}
