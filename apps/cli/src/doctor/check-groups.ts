/** Checks of the consumer groups. */
import type { GroupState } from '@eventflow/db'
import { oneLine, span } from '../table.js'
import type { PostgresFacts } from './facts.js'
import { type Finding, findings, type Problem, warning } from './finding.js'

/** A group that is further behind is reported: as the alert EventFlowGroupLags. */
const MAX_LAG_SECONDS = 60

/** If no worker is alive at all, another finding says so. */
export function checkGroups({ groups, ownership }: NonNullable<PostgresFacts['tables']>): Finding[] {
  const someWork = ownership.workers.length > 0
  return findings('groups', groups.length === 0 ? 'none' : `${groups.length}, none of them paused or far behind`, [
    ...groups.map(whyPaused),
    ...groups.map(whyReset),
    ...groups.map((group) => someWork && whatNoWorkerReads(group)),
    ...groups.map((group) => someWork && howFarBehind(group)),
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
