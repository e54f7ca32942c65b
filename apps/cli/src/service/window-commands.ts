/** The commands of `eventflow windows` and `eventflow joins`. What they do is loaded when one of them runs. */
import type { LateFilter, ResultFilter } from '@eventflow/client'
import { type Command, Option } from 'commander'
import { readMoment, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import type { ShowOptions } from './show.js'
import type { StateListOptions, WaitingFilter } from './windows.js'

const MISSING = '\nExit code: 0, 1 when there is no such window, 2 when the service does not answer.'
const MISSING_JOIN = MISSING.replace('window', 'join')

export function windowCommands(program: Command, asking: Asking): void {
  const { command, asks } = asking
  const windows = program.command('windows').description('List windows, their results, open windows and late events.')
  listCommand(windows, 'windows', asking)
  limited(command(windows, 'results', 'List results of a window, those of the latest windows first.'))
    .option('--key <key>', 'only of this key')
    .option('--from <time>', 'only of windows that end after this time or age (90s, 15m, 2h, 7d)', readMoment)
    .option('--to <time>', 'only of windows that end at this time or before', readMoment)
    .addHelpText('after', MISSING)
    .addHelpText('after', '\nExample: eventflow windows results revenue-by-hour --key user-7 --from 24h')
    .action(
      asks(async (operator, name: string, options: StateListOptions & ResultFilter) =>
        (await import('./windows.js')).listResults(operator, name, options),
      ),
    )
  limited(command(windows, 'open', 'List windows that are not closed, by key.'))
    .option('--key <key>', 'only of this key')
    .addHelpText('after', MISSING)
    .addHelpText('after', '\nExample: eventflow windows open revenue-by-hour')
    .action(
      asks(async (operator, name: string, options: StateListOptions & { key?: string }) =>
        (await import('./windows.js')).listOpen(operator, name, options),
      ),
    )
  lateCommand(windows, 'windows', 'revenue-by-hour', asking)
  joinCommands(program, asking)
}

function joinCommands(program: Command, asking: Asking): void {
  const { command, asks } = asking
  const joins = program.command('joins').description('List joins, the events that wait in them, and late events.')
  listCommand(joins, 'joins', asking)
  limited(command(joins, 'waiting', 'List events that may still be joined, by key.'))
    .option('--key <key>', 'only of this key')
    .addOption(new Option('--side <side>', 'only of this side').choices(['left', 'right']))
    .addHelpText('after', MISSING_JOIN)
    .addHelpText('after', '\nExample: eventflow joins waiting payments-with-users --side left')
    .action(
      asks(async (operator, name: string, options: StateListOptions & WaitingFilter) =>
        (await import('./windows.js')).listWaiting(operator, name, options),
      ),
    )
  lateCommand(joins, 'joins', 'payments-with-users', asking)
}

function listCommand(parent: Command, kind: 'windows' | 'joins', { command, asks }: Asking): void {
  command(parent, 'ls', `List the ${kind}, with counts of the own tenant.`)
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', `\nExample: eventflow ${kind} ls`)
    .action(
      asks(async (operator, options: ShowOptions) => {
        const { listJoins, listWindows } = await import('./windows.js')
        return (kind === 'windows' ? listWindows : listJoins)(operator, options)
      }),
    )
}

function lateCommand(parent: Command, kind: 'windows' | 'joins', example: string, { command, asks }: Asking): void {
  limited(command(parent, 'late', 'List events that came too late, the last accepted first.'))
    .option('--type <type>', 'only of this type')
    .option('--key <key>', 'only of this key')
    .option(
      '--from <time>',
      'only those that occurred at this time or later, or at this age (90s, 15m, 2h, 7d)',
      readMoment,
    )
    .option('--to <time>', 'only those that occurred before this time', readMoment)
    .addHelpText('after', kind === 'windows' ? MISSING : MISSING_JOIN)
    .addHelpText('after', `\nExample: eventflow ${kind} late ${example} --from 2h`)
    .action(
      asks(async (operator, name: string, options: StateListOptions & LateFilter) =>
        (await import('./windows.js')).listLate(operator, { kind, name }, options),
      ),
    )
}

const limited = (command: Command) =>
  command.argument('<name>').option('--limit <count>', 'at most so many', wholeNumber(1, 1_000), 20)
