/** The commands of `eventflow groups`. What they do is loaded when one of them runs. */
import type { GroupTarget } from '@eventflow/client'
import { Argument, type Command, InvalidArgumentError, Option } from 'commander'
import { addToFilter, readMoment, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import type { GroupDlqOptions } from './group-dead-letters.js'
import type { ShowOptions } from './show.js'

const DEAD_STATUSES = ['open', 'replaying', 'replayed', 'discarded', 'all']

/** The options of `reset`. */
interface Reset extends ShowOptions {
  to: GroupTarget
  emit?: 'new'
  dryRun?: true
  yes?: true
}

export function groupCommands(program: Command, asking: Asking): void {
  const { around, command, asks } = asking
  const groups = program.command('groups').description('List, pause, resume, reset and delete consumer groups.')
  const none = '\nExit code: 0, 1 when there is no such group, 2 when the service does not answer.'
  const changing = '\nExit code: 0, 1 when it is refused or declined, 2 when the service does not answer.'

  command(groups, 'ls', 'List the consumer groups with their lag.')
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow groups ls')
    .action(asks(async (operator, options: ShowOptions) => (await import('./groups.js')).listGroups(operator, options)))
  command(groups, 'show', 'Show a group: its owner, position and lag in each partition.')
    .argument('<name>')
    .addHelpText('after', none)
    .addHelpText('after', '\nExample: eventflow groups show invoicing')
    .action(
      asks(async (operator, name: string, options: ShowOptions) =>
        (await import('./groups.js')).showGroup(operator, name, options),
      ),
    )
  command(groups, 'pause', 'Pause a group. It stays paused until it is resumed.')
    .argument('<name>')
    .requiredOption('--reason <text>', 'reason, shown with the group')
    .addHelpText('after', changing)
    .addHelpText('after', '\nExample: eventflow groups pause invoicing --reason "the invoice service is being moved"')
    .action(
      asks(async (operator, name: string, options: ShowOptions & { reason: string }) =>
        (await import('./groups.js')).pauseGroup(operator, name, options),
      ),
    )
  command(groups, 'resume', 'Resume a paused group.')
    .argument('<name>')
    .option('--skip-lost', 'go on behind events that were removed before the group has read them')
    .addHelpText('after', changing)
    .addHelpText('after', '\nExample: eventflow groups resume invoicing')
    .action(
      asks(async (operator, name: string, options: ShowOptions & { skipLost?: true }) =>
        (await import('./groups.js')).resumeGroup(operator, name, options),
      ),
    )
  command(groups, 'delete', 'Delete a group with its position, parked events and dead letters.')
    .argument('<name>')
    .option('--yes', 'do not ask for confirmation')
    .addHelpText('after', changing)
    .addHelpText('after', '\nExample: eventflow groups delete invoicing')
    .action(
      asks(async (operator, name: string, options: ShowOptions & { yes?: true }) =>
        (await import('./groups.js')).deleteGroup(operator, name, { ...options, confirm: around.confirm }),
      ),
    )
  resetCommand(groups, asking)
  dlqCommand(groups, asking)
}

function resetCommand(groups: Command, { around, command, asks, long }: Asking): void {
  command(groups, 'reset', 'Move a group to another place of the log.')
    .argument('<name>')
    .requiredOption(
      '--to <place>',
      'earliest, latest, a time, an age (90s, 15m, 2h, 7d) or a position: it reads what lies above',
      readPlace,
    )
    .addOption(new Option('--emit <what>', 'emit events again as new ones').choices(['new']))
    .option('--dry-run', 'only show how many events would be handled again or skipped')
    .option('--yes', 'do not ask for confirmation')
    .addHelpText('after', '\nCounts first, then asks. A worker with the definition of the group does it.')
    .addHelpText(
      'after',
      'Exit code: 0, 1 when it was declined, has failed or still waits, 2 when the service does not',
    )
    .addHelpText('after', 'answer, 130 when this command was stopped and the reset still waits.')
    .addHelpText('after', '\nExample: eventflow groups reset invoicing --to 2h --dry-run')
    .action(
      asks(async (operator, name: string, options: Reset) =>
        (await import('./group-reset.js')).resetGroup(operator, name, {
          ...options,
          confirm: around.confirm,
          ...long(),
        }),
      ),
    )
}

function dlqCommand(groups: Command, { around, command, asks, long }: Asking): void {
  command(groups, 'dlq', 'List, show, replay and discard the dead letters of a group.')
    .argument('<name>', 'the group')
    .addArgument(new Argument('[action]', 'instead of listing them').choices(['show', 'replay', 'discard']))
    .argument('[id]', 'for show: id of the event, from EventFlow or from its producer')
    .option(
      '--filter <name=value...>',
      'by type, error-class, key, id, since, until; several must all match',
      addToFilter,
    )
    .addOption(
      new Option('--status <status>', 'list only those with this status').choices(DEAD_STATUSES).default('open'),
    )
    .option('--limit <count>', 'list at most so many', wholeNumber(1, 1_000), 20)
    .option('--source <source>', 'for show: source of the event, for an id from its producer; default /')
    .option('--all', 'replay or discard all open ones, instead of a filter')
    .option('--reason <text>', 'reason for the replay or the discard, stored with them')
    .option('--dry-run', 'only count those that would be replayed or discarded')
    .option('--yes', 'do not ask for confirmation')
    .addHelpText(
      'after',
      '\nExit code: 0, 1 when there is none or it was declined, 2 when the service does not answer,',
    )
    .addHelpText('after', '130 when this command was stopped.')
    .addHelpText('after', '\nExamples: eventflow groups dlq invoicing --filter since=2h')
    .addHelpText('after', '          eventflow groups dlq invoicing replay --filter error-class=TransientError')
    .action(
      asks(
        async (
          operator,
          name: string,
          action: string | undefined,
          id: string | undefined,
          options: GroupDlqOptions,
        ) => {
          const { groupDlq } = await import('./group-dead-letters.js')
          return groupDlq(operator, { name, action, id }, { ...options, confirm: around.confirm, ...long() })
        },
      ),
    )
}

/** Parses a place of the log. */
function readPlace(text: string): GroupTarget {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d{1,15}$/.test(text)) return { position: Number(text) }
  try {
    return { time: readMoment(text) }
  } catch {
    throw new InvalidArgumentError(
      `"${text}" is neither earliest or latest, nor a time (2026-01-31T12:00:00Z), an age (90s, 15m, 2h, 7d) or a position.`,
    )
  }
}
