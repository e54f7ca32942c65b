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
      .option('--type <type>', 'event type')
      .option('--key <key>', 'the key that order is kept by')
      .addOption(new Option('--status <status>', 'how they are').choices(EVENT_STATUSES))

  searching(command(program, 'tail', 'Follow the events as they come, and as their status changes.'))
    .option('-n, --last <count>', 'so many of those that are there come first', wholeNumber(0, 1_000), 10)
    .addHelpText('after', '\nCtrl-C ends it. Exit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow tail --type flight.completed --status failed')
    .action(
      asks((operator, options: Omit<TailOptions, 'stop'> & Search) =>
        tail(operator, searchOf(options), { ...options, stop: around.stop() }),
      ),
    )

  const events = program.command('events').description('Look at events: get, list, trace.')
  command(events, 'get', 'One event: what it is, how it is, and its story.')
    .argument('<id>', 'its id, or the one it was sent with')
    .option('--source <source>', 'where it came from, for the id it was sent with; / where missing')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events get "goods-in 17"')
    .action(asks(getEvent))
  searching(command(events, 'list', 'The events that match, the last accepted first.'))
    .option('--correlation-id <id>', 'what they belong to')
    .option('--since <time>', 'accepted then or later: a moment, or 90s, 15m, 2h, 7d ago', readMoment)
    .option('--until <time>', 'accepted before', readMoment)
    .option('--limit <count>', 'so many at the most', wholeNumber(1, 100_000), 20)
    .addHelpText('after', '\nExit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events list --key DTW --status failed --since 2h')
    .action(asks((operator, options: ListOptions & Search) => listEvents(operator, searchOf(options), options)))
  command(events, 'trace', 'All events of one correlation id: what caused what, and when what happened to each.')
    .argument('<correlation-id>')
    .option('--limit <count>', 'so many at the most', wholeNumber(1, 10_000), 1_000)
    .addHelpText('after', '\nExit code: 0, 1 when there are none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow events trace order-4711')
    .action(asks(trace))
}
