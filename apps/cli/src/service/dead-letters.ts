/** `eventflow dlq ls` and `show`: what failed for good. */
import type { DeadLetter, DeadLetterFilter, Operator } from '@eventflow/client'
import { figure } from '../progress.js'
import { oneLine, type Print, table } from '../table.js'
import { sourceOf } from './events.js'

interface Output {
  json?: boolean
  print: Print
  note: Print
}

export interface ListOptions extends Output {
  /** Which: open, replaying, replayed, discarded or all. */
  status: string
  limit: number
}

/** Prints how many dead letters there are of each type and error class. Gives the exit code. */
export async function groupDeadLetters(
  operator: Operator,
  filter: DeadLetterFilter,
  { status, json, print, note }: Omit<ListOptions, 'limit'>,
): Promise<number> {
  const { groups, more } = await operator.deadLetterGroups({ ...filter, status })
  if (json) for (const group of groups) print(JSON.stringify(group))
  else if (groups.length === 0) note('No dead letter matches.')
  else {
    const rows = groups.map(({ count, type, error_class, first_seen, last_seen }) => [
      figure(count),
      type,
      error_class,
      first_seen,
      last_seen,
    ])
    print(table(['count', 'type', 'error class', 'first seen', 'last seen'], rows, ['count']))
  }
  if (more) note(`Only the largest ${figure(groups.length)} groups are shown; narrow them down with --filter.`)
  return 0
}

/** Prints dead letters, the last accepted first. Gives the exit code. */
export async function listDeadLetters(
  operator: Operator,
  filter: DeadLetterFilter,
  { status, limit, json, print, note }: ListOptions,
): Promise<number> {
  const { items, next } = await operator.deadLetters({ ...filter, status }, { limit })
  if (json) for (const letter of items) print(JSON.stringify(letter))
  else if (items.length === 0) note('No dead letter matches.')
  else print(table(['failed', 'status', 'type', 'key', 'id', 'error'], items.map(rowOf)))
  if (next !== null)
    note(`There may be more: show more with --limit ${Math.min(1_000, limit * 10)}, or count them with --group`)
  return 0
}

/** Prints one dead letter with its data and every attempt. Gives the exit code: 1 when there is none. */
export async function showDeadLetter(
  operator: Operator,
  id: string,
  { source, json, print, note }: Output & { source?: string },
): Promise<number> {
  const letter = await operator.deadLetter(id, source)
  if (!letter) {
    note(oneLine(`No dead letter with the id ${id} ${sourceOf(source)}. To list them: eventflow dlq ls`))
    return 1
  }
  if (json) {
    print(JSON.stringify(letter))
    return 0
  }
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
  const lines = [
    ...facts.map(oneLine),
    ...failure.errors.map(({ pointer, message }) => oneLine(`             ${pointer} ${message}`)),
    '',
    ...history.map(
      (of) => `  ${of.at}  ${of.attempt === 0 ? 'replayed' : `attempt ${of.attempt}`}: ${oneLine(of.message)}`,
    ),
    '',
    `data   ${JSON.stringify(data)}`,
  ]
  print(lines.join('\n'))
  return 0
}

function rowOf({ failed_at, status, type, partitionkey, id, failure }: DeadLetter): string[] {
  return [failed_at, status, type, partitionkey, id, `${failure.error_class}: ${failure.message}`]
}
