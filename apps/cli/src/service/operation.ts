/**
 * `eventflow dlq replay`, `discard` and `operation`: changes many dead letters, counts them first, and shows the
 * progress.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { DeadLetterAction, DeadLetterOrder, DryRun, Operation, Operator } from '@eventflow/client'
import { RequestFailed } from '@eventflow/client'
import { UsageError } from '../arguments.js'
import { figure, type Progress } from '../progress.js'
import { oneLine } from '../table.js'
import type { ShowOptions } from './show.js'

/** How often an operation is polled, and how long the service may be unreachable meanwhile, in milliseconds. */
const EVERY_MS = 250
const PATIENCE_MS = 60_000

interface FollowOptions extends ShowOptions {
  progress: Progress
  stop: AbortSignal
}

export interface ChangeOptions extends FollowOptions {
  /** Only counts. */
  dryRun?: boolean
  /** Does not ask for confirmation. */
  yes?: boolean
  /** Asks the user at the terminal; undefined without a terminal. */
  confirm: ((question: string) => Promise<boolean>) | undefined
}

/**
 * Counts the matching dead letters and, after confirmation, replays or discards them. Resolves with the exit code: 0, 1
 * if it was not confirmed or did not finish, 130 if it continues without this command.
 */
export async function changeDeadLetters(
  operator: Operator,
  action: DeadLetterAction,
  order: DeadLetterOrder,
  options: ChangeOptions,
): Promise<number> {
  const { dryRun, yes, confirm, json, print, note } = options
  const extent = await operator.rehearse(action, order)
  if (dryRun) {
    print(json ? JSON.stringify(extent) : shown(action, extent))
    return 0
  }
  if (extent.count === 0) {
    note('No open dead letter matches: nothing to do.')
    return 0
  }
  if (!yes) {
    if (!confirm) {
      throw new UsageError(`This would ${action} ${dead(extent.count)}. Check with --dry-run, then confirm with --yes.`)
    }
    if (!(await confirm(`${shown(action, extent)}\n\n${action} ${dead(extent.count)}? [y/N] `))) return 1
  }
  return follow(operator, await operator.begin(action, order), options)
}

/** Shows the progress of an operation until it ends. Resolves with the exit code, as above. */
export async function follow(operator: Operator, begun: Operation, options: FollowOptions): Promise<number> {
  const { json, print, note, progress, stop } = options
  const { id } = begun
  let operation = begun
  for (let answeredAt = performance.now(); operation.status === 'running' && !stop.aborted; ) {
    progress.show(operation.done, operation.total)
    await delay(EVERY_MS, undefined, { signal: stop }).catch(() => {})
    try {
      operation = (await operator.operation(id)) ?? operation
      answeredAt = performance.now()
    } catch (error) {
      const mayComeBack = error instanceof RequestFailed && (!error.problem || error.problem.status >= 500)
      if (!mayComeBack || performance.now() - answeredAt > PATIENCE_MS) throw error
    }
  }
  progress.end()
  const { kind, status, done, total } = operation
  if (json) print(JSON.stringify(operation))
  else print(`${kind} ${id} is ${status}: ${figure(done)} of ${figure(total)} done`)
  if (status === 'running') {
    note(
      `The operation continues. To follow it: eventflow dlq operation ${id}; to stop it: eventflow dlq operation ${id} --cancel`,
    )
    return 130
  }
  if (status === 'interrupted') note(`To resume it: eventflow dlq operation ${id} --resume`)
  return status === 'finished' ? 0 : 1
}

function shown(action: DeadLetterAction, { count, samples }: DryRun): string {
  const some = samples.map(({ id, type, partitionkey, error_class, message }) =>
    oneLine(`  ${type}  ${partitionkey}  ${id}  ${error_class ?? ''}: ${message ?? ''}`),
  )
  const which = count > samples.length ? ', among them' : ''
  return [
    `${dead(count)} would be ${action === 'replay' ? 'replayed' : 'discarded'}${count === 0 ? '' : `${which}:`}`,
    ...some,
  ].join('\n')
}

const dead = (count: number) => `${figure(count)} dead ${count === 1 ? 'letter' : 'letters'}`
