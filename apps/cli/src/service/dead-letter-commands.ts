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
  const dlq = program.command('dlq').description('Dead letters: ls, show, replay, discard.')
  const filtering = (of: Command) =>
    of.option(
      '--filter <name=value...>',
      'which: type, error-class, key, id, since, until; all that is given must hold',
      addToFilter,
    )
  filtering(command(dlq, 'ls', 'What failed for good, the last accepted first.'))
    .addOption(new Option('--status <status>', 'how they are').choices(DEAD_STATUSES).default('open'))
    .option('--group', 'how many there are of each type and error class')
    .option('--limit <count>', 'so many at the most', wholeNumber(1, 1_000), 20)
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow dlq ls --filter type=flight.completed since=2h --group')
    .action(
      asks((operator, { filter = {}, group, ...options }: Listing) => {
        if (filter.ids) throw new UsageError(`One dead letter: eventflow dlq show ${filter.ids[0]}`)
        const list = group ? groupDeadLetters : listDeadLetters
        return list(operator, filter, options)
      }),
    )
  command(dlq, 'show', 'One dead letter: what was wrong, every attempt, its data.')
    .argument('<id>', 'of the event, or the one it was sent with')
    .option('--source <source>', 'where it came from, for the id it was sent with; / where missing')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow dlq show "sale 4711" --json')
    .action(asks(showDeadLetter))

  const changing = (action: 'replay' | 'discard', description: string) =>
    filtering(command(dlq, action, description))
      .option('--all', 'every open dead letter, where no filter is given')
      .option('--rate <events>', 'so many a second at the most', wholeNumber(1, 10_000))
      .option('--dry-run', 'only count, and show some')
      .option('--yes', 'do not ask')
      .addHelpText('after', '\nCounts first, and asks. It goes on when this command is stopped.')
      .addHelpText(
        'after',
        'Exit code: 0, 1 when it was not wanted or not finished, 2 when the service does not answer,',
      )
      .addHelpText('after', '130 when it goes on without us.')
      .action(
        asks((operator, { filter, all, rate, schemaVersion, reason, ...options }: Change) => {
          if (!filter && !all)
            throw new UsageError('Which ones? Name them with --filter, or say --all. See eventflow dlq ls --group')
          const how = { ...(rate && { rate }), ...(schemaVersion && { schema_version: schemaVersion }) }
          const order = { filter: filter ?? {}, ...how, ...(reason && { reason }) }
          return changeDeadLetters(operator, action, order, { ...options, confirm: around.confirm, ...long() })
        }),
      )
  changing('replay', 'Send dead letters on their way again, in the order in which they were accepted.')
    .option('--reason <text>', 'why, for the audit log')
    .option('--schema-version <number>', 'read them as this version of their schema', wholeNumber(1, 999_999_999))
    .addHelpText('after', '\nExample: eventflow dlq replay --filter error-class=TransientError since=2h --rate 50')
  changing('discard', 'Say that dead letters will never be processed, and why. They are kept.')
    .requiredOption('--reason <text>', 'why; kept with them')
    .addHelpText(
      'after',
      '\nExample: eventflow dlq discard --filter type=order.created --reason "sent by a broken test"',
    )
  command(dlq, 'operation', 'Watch a replay or a discard to its end; resume or cancel it.')
    .argument('<id>', 'as it was told when it began')
    .addOption(new Option('--cancel', 'end it; what it has done stays done').conflicts('resume'))
    .option('--resume', 'go on with one that was interrupted')
    .addHelpText('after', '\nExit code: as of replay.')
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
