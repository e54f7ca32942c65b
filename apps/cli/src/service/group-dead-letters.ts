/** `eventflow groups dlq`: the dead letters of a consumer group. */
import type {
  DeadLetterAction,
  DeadLetterFilter,
  GroupDeadLetter,
  GroupDeadLetterOrder,
  GroupDryRun,
  Operator,
} from '@eventflow/client'
import { UsageError } from '../arguments.js'
import { figure, type Progress } from '../progress.js'
import { oneLine } from '../table.js'
import { DEAD_HEADING, NONE, shownDeadLetter } from './dead-letters.js'
import { sourceOf } from './events.js'
import { type Confirmation, confirmed } from './groups.js'
import { type ShowOptions, showOne, showPage } from './show.js'

/** The options of the command. */
export interface GroupDlqOptions extends ShowOptions {
  filter?: DeadLetterFilter
  status: string
  limit: number
  source?: string
  all?: true
  reason?: string
  dryRun?: true
  yes?: true
}

interface DlqOptions extends Omit<GroupDlqOptions, 'yes'>, Confirmation {
  progress: Progress
  stop: AbortSignal
}

interface Asked {
  name: string
  action: string | undefined
  id: string | undefined
}

/** Does what was asked. Resolves with the exit code. Rejects with UsageError if something is missing. */
export async function groupDlq(operator: Operator, { name, action, id }: Asked, options: DlqOptions): Promise<number> {
  if (id !== undefined && action !== 'show') throw new UsageError('Only show takes an id; otherwise use --filter id=…')
  if (action === 'replay' || action === 'discard') return change(operator, name, action, options)
  if (action === undefined) return list(operator, name, options)
  if (id === undefined) throw new UsageError('To show a dead letter, give the id of its event.')
  const { source } = options
  const missing = oneLine(
    `No dead letter with the id ${id} ${sourceOf(source)} in the group ${name}. To list them: eventflow groups dlq ${name}`,
  )
  const letter = await operator.groups.deadLetter(name, id, source)
  return showOne(letter, { missing, inWords: shownDeadLetter }, options)
}

async function list(
  operator: Operator,
  name: string,
  { filter: { ids, ...filter } = {}, status, limit, ...options }: DlqOptions,
): Promise<number> {
  if (ids) throw new UsageError(`To show one dead letter: eventflow groups dlq ${name} show ${ids[0]}`)
  const page = await operator.groups.deadLetters(name, { ...filter, status }, { limit })
  return showPage(page, { none: NONE, heading: DEAD_HEADING, rowOf }, { limit, ...options })
}

function rowOf(letter: GroupDeadLetter): string[] {
  const { failed_at, status, type, failure } = letter
  const own = letter.tenant === undefined
  const what = own ? [letter.partitionkey, letter.id] : ['', `of the tenant ${letter.tenant}`]
  return [
    failed_at,
    status,
    type,
    ...what,
    own ? `${failure.error_class}: ${letter.failure.message}` : failure.error_class,
  ]
}

/** Counts, asks, and then replays or discards, one request after the other. */
async function change(
  operator: Operator,
  name: string,
  action: DeadLetterAction,
  options: DlqOptions,
): Promise<number> {
  const { filter, all, reason, dryRun, json, print, note, progress, stop } = options
  if (!filter && !all) {
    throw new UsageError(`Choose dead letters with --filter, or pass --all. To see them: eventflow groups dlq ${name}`)
  }
  if (action === 'discard' && reason === undefined) throw new UsageError('Give the --reason why they are discarded.')
  const order: GroupDeadLetterOrder = { filter: filter ?? {}, ...(reason !== undefined && { reason }) }
  const extent = await operator.groups.rehearse(name, action, order)
  if (dryRun) {
    print(json ? JSON.stringify(extent) : shown(action, extent))
    return 0
  }
  const { count, removed, at } = extent
  const total = action === 'replay' ? count - removed : count
  if (total === 0) {
    note(`No open dead letter${count > 0 ? ' whose event is still in the log' : ''} matches: nothing to do.`)
    return 0
  }
  if (!(await confirmed(`${action} ${countOf(extent, total)} of the group ${name}`, options))) return 1
  // Those that fail again meanwhile are left.
  const to = filter?.to !== undefined && filter.to < at ? filter.to : at
  let [changed, more] = [0, true]
  try {
    while (more && !stop.aborted) {
      progress.show(changed, total)
      const step = await operator.groups.change(name, action, { ...order, filter: { ...order.filter, to } })
      changed += step.changed
      more = step.more
    }
  } finally {
    progress.end()
    const done = `${changed === 1 ? 'is' : 'are'} ${action === 'replay' ? 'being handled again' : 'discarded'}`
    print(json ? JSON.stringify({ name, action, changed }) : `${dead(changed)} of ${name} ${done}`)
  }
  return more ? 130 : 0
}

function shown(action: DeadLetterAction, extent: GroupDryRun): string {
  const { count, removed, samples } = extent
  const some = samples.map(({ id, type, partitionkey, error_class, message }) =>
    oneLine(`  ${type}  ${partitionkey}  ${id}  ${error_class ?? ''}: ${message ?? ''}`),
  )
  const replayed = action === 'replay'
  const gone = replayed && removed > 0 ? [`${dead(removed)} cannot be: the events were removed from the log`] : []
  const among = samples.length === 0 ? '' : count > samples.length ? ', among them:' : ':'
  const would = `would be ${replayed ? 'replayed' : 'discarded'}`
  return [`${countOf(extent, replayed ? count - removed : count)} ${would}${among}`, ...some, ...gone].join('\n')
}

const dead = (count: number) => `${figure(count)} dead ${count === 1 ? 'letter' : 'letters'}`

const countOf = ({ more }: GroupDryRun, count: number) => `${more ? 'more than ' : ''}${dead(count)}`
