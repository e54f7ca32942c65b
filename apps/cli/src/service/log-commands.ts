/** The commands of the log: `eventflow log read`. */
import type { Command } from 'commander'
import { readMoment, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import type { LogOptions } from './log.js'

export function logCommands(program: Command, { around, command, serviceOf }: Asking): void {
  const { print, note } = around
  const log = program.command('log').description('Read the log: processed events in the order of each partition.')
  command(log, 'read', 'Show processed events in their order, from any place on.')
    .option('--type <type>', 'only of this event type; may be repeated', (type, before: string[] = []) => [
      ...before,
      type,
    ])
    .option(
      '--from <place>',
      'earliest, latest, a time, this long ago (90s, 15m, 2h, 7d), or a cursor that this command has shown; with --group, where a new group begins',
      readPlace,
    )
    .option('--follow', 'go on with new events until Ctrl-C')
    .option('--limit <count>', 'at most so many', wholeNumber(1, 1e9))
    .option('--group <name>', 'go on where this group was, and commit what was shown')
    .addHelpText(
      'after',
      '\nWithout --from it begins with the earliest event. The last line on stderr is the cursor to go on with.',
    )
    .addHelpText('after', 'Exit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExamples: eventflow log read --type flight.completed --from 2h --limit 10')
    .addHelpText('after', '          eventflow log read --group billing --from earliest --follow --json')
    .action(async (options: Omit<LogOptions, 'stop'> & Parameters<typeof serviceOf>[0]) => {
      const { readLog } = await import('./log.js')
      around.end(await readLog(await serviceOf(options), { ...options, print, note, stop: around.stop() }))
    })
}

/** Ages become times; all else is for the service to judge. */
const readPlace = (text: string) => (/^\d+[smhd]$/.test(text) ? readMoment(text) : text)
