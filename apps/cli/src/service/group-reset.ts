/** `eventflow groups reset`: counts first, then asks, then waits for a worker. */
import { setTimeout as delay } from 'node:timers/promises'
import { type GroupTarget, type Operator, RequestFailed, type ResetDryRun } from '@eventflow/client'
import { figure, type Progress } from '../progress.js'
import { table } from '../table.js'
import { type Confirmation, confirmed, lagOf, missing, told } from './groups.js'
import type { ShowOptions } from './show.js'

/** How often the group is polled, and how long the command waits for a worker, in milliseconds. */
const EVERY_MS = 250
const PATIENCE_MS = 60_000

interface ResetOptions extends ShowOptions, Confirmation {
  to: GroupTarget
  emit?: 'new'
  dryRun?: boolean
  progress: Progress
  stop: AbortSignal
}

/**
 * Resets a group after confirmation. Resolves with the exit code: 0, 1 if it was not confirmed, has failed or still
 * waits for a worker, 130 if this command was stopped meanwhile.
 */
export async function resetGroup(operator: Operator, name: string, options: ResetOptions): Promise<number> {
  const { to, emit, dryRun, json, print, note } = options
  const extent = await operator.groups.rehearseReset(name, to)
  if (dryRun) {
    print(json ? JSON.stringify(extent) : shown(extent))
    return 0
  }
  if (!(await confirmed(`reset the group ${name}: ${sum(extent)}`, options))) return 1
  const status = await operator.groups.reset(name, to, { emit })
  if (status === 'pending') {
    note(`No worker has reset ${name} yet: one with the definition of the group must run.`)
    const code = await untilPerformed(operator, name, options)
    if (code !== 0) return code
  }
  const group = await operator.groups.get(name)
  if (group?.paused) note(`${name} is paused: ${group.paused.reason}. To resume it: eventflow groups resume ${name}`)
  return told({ name, status: 'reset' }, options)
}

/** Waits until a worker has performed the reset. Resolves with the exit code, as above. */
async function untilPerformed(
  operator: Operator,
  name: string,
  { progress, stop, note }: ResetOptions,
): Promise<number> {
  const startedAt = performance.now()
  try {
    while (!stop.aborted && performance.now() - startedAt < PATIENCE_MS) {
      progress.show(Math.round((performance.now() - startedAt) / 1_000), PATIENCE_MS / 1_000)
      await delay(EVERY_MS, undefined, { signal: stop }).catch(() => {})
      const group = await operator.groups.get(name).catch((error) => {
        if (error instanceof RequestFailed && (!error.problem || error.problem.status >= 500)) return 'away' as const
        throw error
      })
      if (group === 'away') continue
      if (group?.reset?.status === 'pending') continue
      if (group && !group.reset) return 0
      note(group ? `The reset failed, and nothing has changed: ${group.reset!.error}` : missing(name))
      return 1
    }
  } finally {
    progress.end()
  }
  note(`The reset still waits. To see whether it is done: eventflow groups show ${name}`)
  return stop.aborted ? 130 : 1
}

/** The sums, and the partitions in which anything would change. */
function shown(extent: ResetDryRun): string {
  const partitions = extent.partitions.filter(({ again, skipped, more }) => again > 0 || skipped > 0 || more)
  if (partitions.length === 0) return sum(extent)
  const hasPositions = partitions.some(({ from }) => from !== undefined)
  const heading = ['partition', ...(hasPositions ? ['from', 'to'] : []), 'again', 'skipped']
  const rows = partitions.map(({ partition, from, to, again, skipped, more }) => [
    ...[`${partition}`, ...(hasPositions ? [`${from}`, `${to}`] : [])],
    ...[again, skipped].map((events) => lagOf({ events, more: more && (events > 0 || again + skipped === 0) })),
  ])
  return `${sum(extent)}\n\n${table(heading, rows, heading)}`
}

function sum({ again, skipped, more }: ResetDryRun): string {
  const atLeast = more ? 'at least ' : ''
  return `${atLeast}${figure(again)} events would be handled again, and ${atLeast}${figure(skipped)} skipped`
}
