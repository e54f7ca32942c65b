/** The commands of `eventflow dlq`. */
import type { DeadLetterFilter } from '@eventflow/client'
import { SetupError } from '@eventflow/local'
import { type Command, Option } from 'commander'
import { addToFilter, UsageError, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import { groupDeadLetters, type ListOptions, listDeadLetters, showDeadLetter } from './dead-letters.js'
import { changeDeadLetters, follow } from './operation.js'
import type { ShowOptions } from './show.js'

const DEAD_STATUSES = ['open', 'replaying', 'replayed', 'discarded', 'all']

/** The options of `ls`. */
type Listing = ListOptions & { filter?: DeadLetterFilter; group?: true }

/** The options of `operation`. */
type Watching = ShowOptions & { cancel?: true; resume?: true }

/** The options of `replay` and `discard`. */
interface Change extends ShowOptions {
  filter?: DeadLetterFilter
  all?: true
  rate?: number
  schemaVersion?: number
  reason?: string
  dryRun?: true
  yes?: true
}

export function deadLetterCommands(program: Command, { around, command, asks, long }: Asking): void {
  const dlq = program.command('dlq').description('List, show, replay and discard dead letters.')
  const filtering = (of: Command) =>
    of.option(
      '--filter <name=value...>',
      'by type, error-class, key, id, since, until; several parts must all match',
      addToFilter,
    )
  filtering(command(dlq, 'ls', 'List dead letters, newest event first.'))
    .addOption(new Option('--status <status>', 'only with this status').choices(DEAD_STATUSES).default('open'))
    .option('--group', 'count by type and error class')
    .option('--limit <count>', 'at most so many', wholeNumber(1, 1_000), 20)
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow dlq ls --filter type=flight.completed since=2h --group')
    .action(
      asks((operator, { filter = {}, group, ...options }: Listing) => {
        if (filter.ids) throw new UsageError(`To show one dead letter: eventflow dlq show ${filter.ids[0]}`)
        const list = group ? groupDeadLetters : listDeadLetters
        return list(operator, filter, options)
      }),
    )
  command(dlq, 'show', 'Show a dead letter with its error, attempts and data.')
    .argument('<id>', 'id of the event, from EventFlow or from its producer')
    .option('--source <source>', 'source of the event, for an id from its producer; default /')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow dlq show "sale 4711" --json')
    .action(asks(showDeadLetter))

  const changing = (action: 'replay' | 'discard', description: string) =>
    filtering(command(dlq, action, description))
      .option('--all', 'all open dead letters, instead of a filter')
      .option('--rate <events>', 'at most so many per second', wholeNumber(1, 10_000))
      .option('--dry-run', 'only count them and show some')
      .option('--yes', 'do not ask for confirmation')
      .addHelpText('after', '\nCounts first, then asks. The operation continues if this command is stopped.')
      .addHelpText(
        'after',
        'Exit code: 0, 1 when it was declined or did not finish, 2 when the service does not answer,',
      )
      .addHelpText('after', '130 when this command was stopped and the operation continues.')
      .action(
        asks((operator, { filter, all, rate, schemaVersion, reason, ...options }: Change) => {
          if (!filter && !all)
            throw new UsageError(
              'Choose dead letters with --filter, or pass --all. To see them: eventflow dlq ls --group',
            )
          const how = { ...(rate && { rate }), ...(schemaVersion && { schema_version: schemaVersion }) }
          const order = { filter: filter ?? {}, ...how, ...(reason && { reason }) }
          return changeDeadLetters(operator, action, order, { ...options, confirm: around.confirm, ...long() })
        }),
      )
  changing('replay', 'Process dead letters again, in the order in which they were accepted.')
    .option('--reason <text>', 'reason for the audit log')
    .option('--schema-version <number>', 'read their data as this schema version', wholeNumber(1, 999_999_999))
    .addHelpText('after', '\nExample: eventflow dlq replay --filter error-class=TransientError since=2h --rate 50')
  changing('discard', 'Mark dead letters as never to be processed, with a reason. They stay stored.')
    .requiredOption('--reason <text>', 'reason, stored with the dead letters')
    .addHelpText(
      'after',
      '\nExample: eventflow dlq discard --filter type=order.created --reason "sent by a broken test"',
    )
  command(dlq, 'operation', 'Follow a replay or discard until it ends; resume or cancel it.')
    .argument('<id>', 'id of the operation, printed when it began')
    .addOption(new Option('--cancel', 'cancel it; finished parts are not undone').conflicts('resume'))
    .option('--resume', 'resume an interrupted one')
    .addHelpText('after', '\nExit code: as for dlq replay.')
    .addHelpText('after', '\nExample: eventflow dlq operation 0190b2c4-0000-7000-8000-000000000000 --cancel')
    .action(
      asks(async (operator, id: string, { cancel, resume, ...options }: Watching) => {
        const change = cancel ? 'cancel' : resume ? 'resume' : undefined
        const operation = change ? await operator.change(id, change) : await operator.operation(id)
        if (!operation) throw new SetupError(`There is no operation with the id ${id}.`)
        return follow(operator, operation, { ...options, ...long() })
      }),
    )
}
