/** `eventflow dlq ls` and `show`: the dead letters. */
import type { DeadLetter, DeadLetterFilter, Operator } from '@eventflow/client'
import { figure } from '../progress.js'
import { oneLine } from '../table.js'
import { sourceOf } from './events.js'
import { type ShowOptions, showList, showOne, showPage } from './show.js'

export interface ListOptions extends ShowOptions {
  /** open, replaying, replayed, discarded or all. */
  status: string
  limit: number
}

export const NONE = 'No dead letter matches.'
export const DEAD_HEADING = ['failed', 'status', 'type', 'key', 'id', 'error']

/** Prints the number of dead letters of each type and error class. Resolves with the exit code. */
export async function groupDeadLetters(
  operator: Operator,
  filter: DeadLetterFilter,
  { status, ...options }: Omit<ListOptions, 'limit'>,
): Promise<number> {
  const { groups, more } = await operator.deadLetterGroups({ ...filter, status })
  showList(
    groups,
    {
      none: NONE,
      heading: ['count', 'type', 'error class', 'first seen', 'last seen'],
      right: ['count'],
      rowOf: (group) => [figure(group.count), group.type, group.error_class, group.first_seen, group.last_seen],
    },
    options,
  )
  if (more) options.note(`Only the largest ${figure(groups.length)} groups are shown; narrow them down with --filter.`)
  return 0
}

/** Prints dead letters, the last accepted first. Resolves with the exit code. */
export async function listDeadLetters(
  operator: Operator,
  filter: DeadLetterFilter,
  { status, limit, ...options }: ListOptions,
): Promise<number> {
  const page = await operator.deadLetters({ ...filter, status }, { limit })
  return showPage(
    page,
    { none: NONE, heading: DEAD_HEADING, rowOf },
    { limit, ...options },
    ', or count them with --group',
  )
}

/** Prints one dead letter with its data and every attempt. Resolves with the exit code: 1 if there is none. */
export async function showDeadLetter(
  operator: Operator,
  id: string,
  { source, ...options }: ShowOptions & { source?: string },
): Promise<number> {
  const missing = oneLine(`No dead letter with the id ${id} ${sourceOf(source)}. To list them: eventflow dlq ls`)
  return showOne(await operator.deadLetter(id, source), { missing, inWords: shownDeadLetter }, options)
}

type WholeDeadLetter = NonNullable<Awaited<ReturnType<Operator['deadLetter']>>>

/** A dead letter with its errors, attempts and data. */
export function shownDeadLetter(letter: WholeDeadLetter): string {
  const { failure, history, data, type, partitionkey, correlationid, status, resolved_by, reason } = letter
  const resolved = resolved_by ? ` by ${resolved_by}${reason ? `: ${reason}` : ''}` : ''
  const facts = [
    `id           ${letter.id}`,
    `type         ${type}`,
    `key          ${partitionkey}`,
    `correlation  ${correlationid}`,
    `status       ${status}${resolved}`,
    `failed       ${letter.failed_at}, in ${failure.component}`,
    `error        ${failure.error_class}: ${failure.message}`,
  ]
  return [
    ...facts.map(oneLine),
    ...failure.errors.map(({ pointer, message }) => oneLine(`             ${pointer} ${message}`)),
    '',
    ...history.map(
      (of) => `  ${of.at}  ${of.attempt === 0 ? 'replayed' : `attempt ${of.attempt}`}: ${oneLine(of.message)}`,
    ),
    '',
    `data   ${JSON.stringify(data)}`,
  ].join('\n')
}

function rowOf({ failed_at, status, type, partitionkey, id, failure }: DeadLetter): string[] {
  return [failed_at, status, type, partitionkey, id, `${failure.error_class}: ${failure.message}`]
}
