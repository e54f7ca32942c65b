/** `eventflow groups ls`, `show`, `pause`, `resume` and `delete`. */
import type { Group, GroupLag, GroupState, Operator, WholeGroup } from '@eventflow/client'
import { UsageError } from '../arguments.js'
import { figure } from '../progress.js'
import { oneLine, span, table } from '../table.js'
import { type ShowOptions, showAll, showOne } from './show.js'

/** The largest page of groups. */
const PAGE = 100

/** Prints all groups, by name. Resolves with the exit code. */
export async function listGroups(operator: Operator, options: ShowOptions): Promise<number> {
  return showAll(
    (page) => operator.groups.list(page),
    {
      none: 'There is no consumer group.',
      heading: ['group', 'kind', 'state', 'lag', 'waiting', 'parked', 'dead', 'workers'],
      right: ['lag', 'waiting', 'parked', 'dead', 'workers'],
      rowOf: (group) => [
        ...[group.name, group.kind, stateOf(group), lagOf(group.lag), span(group.lag.seconds)],
        ...[figure(group.parked), figure(group.dead_letters), figure(group.owners.length)],
      ],
    },
    options,
    PAGE,
  )
}

/** Prints one group with its partitions. Resolves with the exit code: 1 if there is none. */
export async function showGroup(operator: Operator, name: string, options: ShowOptions): Promise<number> {
  return showOne(await operator.groups.get(name), { missing: missing(name), inWords: shown }, options)
}

/** The message that there is no such group. */
export const missing = (name: string) => oneLine(`No consumer group ${name}. To list them: eventflow groups ls`)

/** Pauses a group. Resolves with the exit code. */
export async function pauseGroup(
  operator: Operator,
  name: string,
  { reason, ...options }: ShowOptions & { reason: string },
): Promise<number> {
  await operator.groups.pause(name, reason)
  return told({ name, status: 'paused' }, options)
}

/** Resumes a group. Resolves with the exit code. */
export async function resumeGroup(
  operator: Operator,
  name: string,
  { skipLost, ...options }: ShowOptions & { skipLost?: boolean },
): Promise<number> {
  const skipped = await operator.groups.resume(name, { skipLost: skipLost ?? false })
  if (skipped > 0) options.note(`In ${skipped} of its partitions, it goes on behind events that were removed.`)
  return told({ name, status: 'running' }, options)
}

/** Deletes a group after confirmation. Resolves with the exit code: 1 if it was not confirmed. */
export async function deleteGroup(
  operator: Operator,
  name: string,
  { yes, confirm, ...options }: ShowOptions & Confirmation,
): Promise<number> {
  const group = await operator.groups.get(name)
  if (!group) {
    options.note(missing(name))
    return 1
  }
  const extent = `with ${figure(group.parked)} parked events and ${figure(group.dead_letters)} dead letters`
  if (!(await confirmed(`delete the group ${name}, ${extent}`, { yes, confirm }))) return 1
  await operator.groups.delete(name)
  return told({ name, status: 'deleted' }, options)
}

/** How a change is confirmed. */
export interface Confirmation {
  yes?: boolean | undefined
  /** Asks the user at the terminal; undefined without a terminal. */
  confirm: ((question: string) => Promise<boolean>) | undefined
}

/** Asks whether to do something, unless `yes`. Rejects with UsageError if there is no terminal to ask at. */
export async function confirmed(what: string, { yes, confirm }: Confirmation): Promise<boolean> {
  if (yes) return true
  if (!confirm) throw new UsageError(`This would ${what}. Confirm with --yes.`)
  return confirm(`${what}? [y/N] `)
}

/** Prints the new state of a group. Returns the exit code. */
export function told(state: { name: string; status: string }, { json, print }: ShowOptions): number {
  print(json ? JSON.stringify(state) : `${state.name} is ${state.status}`)
  return 0
}

/** The number of events, with a + if there may be more. */
export const lagOf = ({ events, more }: Pick<GroupLag, 'events' | 'more'>) => `${figure(events)}${more ? '+' : ''}`

function stateOf({ paused, reset }: Group): string {
  const states = [paused && 'paused', reset && `reset ${reset.status}`].filter(Boolean)
  return states.join(', ') || 'running'
}

/** What a window or a join holds. */
function factsOf({ open_windows, results, waiting, late_events, watermark, building, ...lag }: GroupState) {
  const { lagging, watermark_lag_seconds: seconds } = lag
  const where =
    lagging && `${span(seconds ?? 0)} behind in partition ${lagging.partition} of the tenant ${lagging.tenant}`
  const counts = [['open', open_windows] as const, ['results', results] as const, ['waiting', waiting] as const]
  return [
    ...counts.map(([fact, count]): [string, string | null] => [fact, count === undefined ? null : figure(count)]),
    ['late', figure(late_events)],
    ['watermark', watermark && [`${watermark.min} to ${watermark.max}`, where].filter(Boolean).join(', ')],
    ['building', building && `generation ${building.generation}, ${Math.floor(building.done * 100)} % of the log`],
  ] as [string, string | null][]
}

function shown(group: WholeGroup): string {
  const { name, kind, version, generation, types, paused, reset, partitions } = group
  const to =
    reset?.to === undefined ? '' : ` to ${typeof reset.to === 'string' ? reset.to : Object.values(reset.to)[0]}`
  const facts: [string, string | null][] = [
    ['group', name],
    [
      'kind',
      kind === 'external' ? 'external, read over HTTP' : `${kind}, version ${version}, generation ${generation}`,
    ],
    ['reads', types.join(', ') || 'all types'],
    ['paused', paused && `${paused.reason} (by ${paused.by}, ${paused.at})`],
    ['reset', reset && `${reset.status}${to}, asked for by ${reset.requested_by}, ${reset.requested_at}`],
    ['error', reset?.error ?? null],
    ['lag', `${lagOf(group.lag)}, waiting ${span(group.lag.seconds)}`],
    ['parked', figure(group.parked)],
    ['dead', figure(group.dead_letters)],
    ...(group.state ? factsOf(group.state) : []),
  ]
  const hasPositions = partitions.some(({ position }) => position !== undefined)
  const heading = [
    'partition',
    'owner',
    ...(hasPositions ? ['position', 'last'] : []),
    'lag',
    'waiting',
    'parked',
    'dead',
  ]
  const rows = partitions.map(({ partition, owner, position, last, lag, parked, dead_letters }) => [
    ...[`${partition}`, owner ?? '-', ...(hasPositions ? [`${position}`, `${last}`] : [])],
    ...[lagOf(lag), span(lag.seconds), figure(parked), figure(dead_letters)],
  ])
  return [
    ...facts.flatMap(([fact, value]) => (value === null ? [] : [oneLine(`${fact.padEnd(9)} ${value}`)])),
    '',
    table(
      heading,
      rows,
      heading.filter((column) => column !== 'owner'),
    ),
  ].join('\n')
}
