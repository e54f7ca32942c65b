/** The commands `eventflow tail` and `eventflow events`. */
import { EVENT_STATUSES } from '@eventflow/core'
import { type Command, Option } from 'commander'
import { readMoment, wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import { getEvent, type ListOptions, listEvents } from './events.js'
import { type TailOptions, tail } from './tail.js'
import { trace } from './trace.js'

/** The options that select events. */
interface Search {
  type?: string
  key?: string
  status?: string
  since?: string
  until?: string
  correlationId?: string
}

const searchOf = ({ type, key, status, since, until, correlationId }: Search) => ({
  ...{ type, key, status, from: since, to: until, correlation_id: correlationId },
})

export function eventCommands(program: Command, { around, command, asks }: Asking): void {
  const searching = (of: Command) =>
    of
      .option('--type <type>', 'only of this event type')
      .option('--key <key>', 'only with this ordering key')
      .addOption(new Option('--status <status>', 'only with this status').choices(EVENT_STATUSES))

  searching(command(program, 'tail', 'Follow new events and changes of status.'))
    .option('-n, --last <count>', 'begin with so many earlier events', wholeNumber(0, 1_000), 10)
    .addHelpText('after', '\nCtrl-C ends it. Exit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow tail --type flight.completed --status failed')
    .action(
      asks((operator, options: Omit<TailOptions, 'stop'> & Search) =>
        tail(operator, searchOf(options), { ...options, stop: around.stop() }),
      ),
    )

  const events = program.command('events').description('Get, list and trace events.')
  command(events, 'get', 'Show an event with its status, timeline and data.')
    .argument('<id>', 'id of the event, from EventFlow or from its producer')
    .option('--source <source>', 'source of the event, for an id from its producer; default /')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events get "goods-in 17"')
    .action(asks(getEvent))
  searching(command(events, 'list', 'List matching events, newest first.'))
    .option('--correlation-id <id>', 'only with this correlation id')
    .option('--since <time>', 'accepted at or after this time, or this long ago (90s, 15m, 2h, 7d)', readMoment)
    .option('--until <time>', 'accepted before this time', readMoment)
    .option('--limit <count>', 'at most so many', wholeNumber(1, 100_000), 20)
    .addHelpText('after', '\nExit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events list --key DTW --status failed --since 2h')
    .action(asks((operator, options: ListOptions & Search) => listEvents(operator, searchOf(options), options)))
  command(events, 'trace', 'Show all events of a correlation id, as a tree of causes and in order of time.')
    .argument('<correlation-id>')
    .option('--limit <count>', 'at most so many', wholeNumber(1, 10_000), 1_000)
    .addHelpText('after', '\nExit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events trace order-4711')
    .action(asks(trace))
}
