/** The problems of the consumer groups in sentences. */
import type { GroupState, StatefulGroup } from '@eventflow/db'
import type { Lateness } from './late-events.js'
import type { Trouble } from './trouble.js'
import { count, countOf, inWords, listOf } from './words.js'

/** How far a group may be behind before it is reported, in seconds. */
const BEHIND_AFTER_S = 60

/** As the alert EventFlowWatermarkStands. */
const STANDS_AFTER_S = 300

/** As the alert EventFlowLateEvents. */
const LATE_SHARE = 0.01

/** Returns the problems of groups that are defined in code. `someWork`: a worker is alive; otherwise that is said once. */
export function groupTroubles(groups: readonly GroupState[], someWork: boolean): Trouble[] {
  return groups.flatMap((group) => troublesOf(group, someWork))
}

function troublesOf({ name, pausedFor, pausedBy, partitions }: GroupState, someWork: boolean): Trouble[] {
  const about = { group: name }
  const free = partitions.filter(({ owner }) => owner === null)
  const behind = behindOf({ partitions })
  const dead = partitions.reduce((sum, { deadLetters }) => sum + deadLetters, 0)
  const troubles: Trouble[] = []
  if (pausedFor !== null) {
    troubles.push({ level: 'warn', text: `Group ${name} is paused by ${pausedBy}: ${pausedFor}`, about })
  } else if (behind > BEHIND_AFTER_S) {
    troubles.push({ level: 'warn', text: `Group ${name} is ${inWords(behind)} behind.`, about })
  }
  if (someWork && free.length > 0) {
    const which =
      free.length === partitions.length
        ? `No worker reads the group ${name}: none has its definition.`
        : `${countOf(free.length, 'partition')} without a reader in the group ${name}: ${listOf(free.map(({ partition }) => partition))}.`
    troubles.push({ level: 'warn', text: which, about })
  }
  if (dead > 0) {
    const what = dead === 1 ? 'letter: replay or discard it' : 'letters: replay or discard them'
    troubles.push({ level: 'info', text: `Group ${name} has ${count(dead)} open dead ${what}.`, about })
  }
  return troubles
}

const behindOf = ({ partitions }: Pick<GroupState, 'partitions'>) =>
  Math.max(0, ...partitions.map(({ lag }) => lag.ageSeconds))

/** Returns the problems of windows and joins with event time. That one is paused, or far behind, is said elsewhere. */
export function timeTroubles(
  stateful: readonly StatefulGroup[],
  groups: readonly GroupState[],
  lateOf: ReadonlyMap<string, Lateness>,
): Trouble[] {
  const behind = new Set(groups.filter((group) => behindOf(group) > BEHIND_AFTER_S).map(({ name }) => name))
  return stateful.flatMap(({ name, kind, pausedFor, state: { lagSeconds, lagging } }) => {
    const about = { group: name }
    const troubles: Trouble[] = []
    if (lagging && lagSeconds! > STANDS_AFTER_S && pausedFor === null && !behind.has(name)) {
      const what = kind === 'join' ? 'Events that wait in the join' : 'Windows of'
      const place = `partition ${lagging.partition}, tenant ${lagging.tenantId}`
      const text = `${what} ${name} ${kind === 'join' ? 'do not expire' : 'do not close'}: event time is ${inWords(lagSeconds!)} behind (${place}). An event may wait there, or a process be silent.`
      troubles.push({ level: 'warn', text, about })
    }
    const { handled, late } = lateOf.get(name) ?? { handled: 0, late: 0 }
    if (late > LATE_SHARE * handled) {
      const text = `${count(late)} of the ${count(handled)} events that the ${kind} ${name} handled in the last 5 minutes came too late: they are in no result.`
      troubles.push({ level: 'warn', text, about })
    }
    return troubles
  })
}
