/** The problems of the consumer groups in sentences. */
import type { GroupState } from '@eventflow/db'
import type { Trouble } from './trouble.js'
import { count, countOf, inWords, listOf } from './words.js'

/** How far a group may be behind before it is reported, in seconds. */
const BEHIND_AFTER_S = 60

/** Returns the problems of groups that are defined in code. `someWork`: a worker is alive; otherwise that is said once. */
export function groupTroubles(groups: readonly GroupState[], someWork: boolean): Trouble[] {
  return groups.flatMap((group) => troublesOf(group, someWork))
}

function troublesOf({ name, pausedFor, pausedBy, partitions }: GroupState, someWork: boolean): Trouble[] {
  const about = { group: name }
  const free = partitions.filter(({ owner }) => owner === null)
  const behind = Math.max(0, ...partitions.map(({ lag }) => lag.ageSeconds))
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
