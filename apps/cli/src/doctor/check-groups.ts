/** Checks of the consumer groups. */
import type { GroupState, StatefulGroup, ToldFigures } from '@eventflow/db'
import { oneLine, span } from '../table.js'
import type { PostgresFacts } from './facts.js'
import { type Finding, findings, type Problem, warning } from './finding.js'

/** A group that is further behind is reported: as the alert EventFlowGroupLags. */
const MAX_LAG_SECONDS = 60

/** Event time that is further behind is reported: as the alert EventFlowWatermarkStands. */
const MAX_TIME_LAG_SECONDS = 300

/** A larger share of late events is reported: as the alert EventFlowLateEvents. */
const MAX_LATE_SHARE = 0.01

/** If no worker is alive at all, another finding says so. */
export function checkGroups({ groups, stateful, figures, ownership }: NonNullable<PostgresFacts['tables']>): Finding[] {
  const someWork = ownership.workers.length > 0
  return findings('groups', groups.length === 0 ? 'none' : `${groups.length}, none of them paused or far behind`, [
    ...groups.map(whyPaused),
    ...groups.map(whyReset),
    ...groups.map((group) => someWork && whatNoWorkerReads(group)),
    ...groups.map((group) => someWork && howFarBehind(group)),
    ...stateful.map((group) => someWork && groups.every((other) => isNear(other, group)) && whereTimeStands(group)),
    ...stateful.map((group) => howManyLate(group, figures)),
  ])
}

function whyPaused({ name, pausedFor, pausedBy }: GroupState): Problem | false {
  return (
    pausedFor !== null &&
    warning(
      `the group ${name} is paused by ${pausedBy}: ${oneLine(pausedFor)}`,
      `npx eventflow groups resume ${name}   # once the reason is gone`,
    )
  )
}

function whyReset({ name, resetError }: GroupState): Problem | false {
  return (
    resetError !== null &&
    warning(
      `the last reset of the group ${name} failed: ${oneLine(resetError)}`,
      `repair the function reset of its definition, then npx eventflow groups reset ${name} --to …`,
    )
  )
}

function whatNoWorkerReads({ name, partitions }: GroupState): Problem | false {
  const free = partitions.filter(({ owner }) => owner === null).map(({ partition }) => partition)
  if (free.length === 0) return false
  if (free.length === partitions.length) {
    return warning(
      `no worker reads the group ${name}: none has its definition, in its latest version`,
      `npx eventflow groups delete ${name}   # if the definition was removed; otherwise start a worker that has it`,
    )
  }
  return warning(
    `no worker reads the group ${name} in the partitions ${free.join(', ')}. This is normal for some seconds after a start, stop or crash`,
    `npx eventflow workers   # if it persists, restart the workers: each must have the definition of ${name}`,
  )
}

/** A paused group, or one that no worker reads, is behind for that reason. */
function howFarBehind({ name, pausedFor, partitions }: GroupState): Problem | false {
  const read = partitions.filter(({ owner }) => owner !== null)
  const seconds = Math.max(0, ...read.map(({ lag }) => lag.ageSeconds))
  if (pausedFor !== null || seconds <= MAX_LAG_SECONDS) return false
  const events = read.reduce((sum, { lag }) => sum + lag.events, 0)
  const more = read.some(({ lag }) => lag.more) ? ' or more' : ''
  return warning(
    `the group ${name} is ${span(seconds)} behind, by ${events}${more} ${events === 1 ? 'event' : 'events'}`,
    `node apps/worker/dist/main.js --groups ${name}   # a worker of its own; docs/operating.md, EventFlowGroupLags`,
  )
}

/** Whether another finding says why event time stands: the group is paused, or behind. */
const isNear = (one: GroupState, { name }: StatefulGroup) => one.name !== name || !howFarBehind(one)

function whereTimeStands({ name, kind, pausedFor, state: { lagSeconds, lagging } }: StatefulGroup): Problem | false {
  if (!lagging || pausedFor !== null || lagSeconds! <= MAX_TIME_LAG_SECONDS) return false
  return warning(
    `event time of the ${kind} ${name} is ${span(lagSeconds!)} behind in partition ${lagging.partition}, tenant ${oneLine(lagging.tenantId)}: what is due there does not ${kind === 'join' ? 'expire' : 'close'}`,
    'npx eventflow events list --status retrying   # an event that waits holds it up, and so does a silent process; docs/operating.md, EventFlowWatermarkStands',
  )
}

/** Of what the workers that live have handled since their start. */
function howManyLate({ name, kind }: StatefulGroup, figures: readonly ToldFigures[]): Problem | false {
  const sum = (counter: string) => figures.reduce((total, { counts }) => total + (counts[`${counter} ${name}`] ?? 0), 0)
  const [handled, late] = [sum('handled'), sum('late')]
  if (late <= MAX_LATE_SHARE * handled) return false
  return warning(
    `${late} of ${handled} events that the workers have handled for the ${kind} ${name} since their start came too late: they are in no result`,
    `npx eventflow ${kind}s late ${name}   # then make outOfOrderness of its definition longer, and raise its version`,
  )
}
