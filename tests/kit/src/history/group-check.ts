/**
 * Checks whether the consumer group of the fault tests has handled each entry of the log once, in the order of each key;
 * or else has a dead letter of it.
 */
import type { EntryRow, GroupEffectRow, GroupLetterRow } from './rows.js'
import type { Findings } from './verdict.js'

/** Its effects are in the table `group_effects`. */
const HANDLING_GROUP = 'fault-group'

export interface GroupCheck {
  entry(row: EntryRow): void
  /** In the order of `at`, after the entries. */
  groupEffect(row: GroupEffectRow): void
  /** After the entries. */
  groupLetter(row: GroupLetterRow): void
}

/** What is known of an entry. */
interface Handled extends EntryRow {
  effects: number
  firstEffectAt: number
  /** Why the group has a dead letter of it. */
  dead?: string
}

/** `isRefused`: whether the group refuses the event with this id. `check` is called once everything was given. */
export function createGroupCheck(
  findings: Findings,
  isRefused: (id: string) => boolean,
): GroupCheck & { check(): void; counts(): { groupEffects: number; groupDead: number } } {
  const entries = new Map<number, Handled>()
  /** The entry of each key that had the last effect so far. */
  const lastOfKey = new Map<string, Handled>()
  const counts = { groupEffects: 0, groupDead: 0 }

  function checkOrder(entry: Handled, at: number): void {
    const before = lastOfKey.get(entry.key)
    lastOfKey.set(entry.key, entry)
    if (!before || before.position < entry.position) return
    const words = `had effect ${before.firstEffectAt} of the group, before effect ${at} of ${entryOf(entry)}`
    findings.add('group order', () => `${entryOf(before)} ${words}`)
  }

  return {
    entry(row) {
      entries.set(row.seq, { ...row, effects: 0, firstEffectAt: 0 })
    },

    groupEffect({ at, seq, id, key, partition }) {
      counts.groupEffects++
      const entry = entries.get(seq)
      if (!entry) return findings.add('group effect without entry', () => `effect ${at} of the group is of seq ${seq}`)
      if (entry.id !== id || entry.key !== key || entry.partition !== partition) {
        const words = `had an effect of the group as ${id} with key ${key} in partition ${partition}`
        findings.add('group effect of other data', () => `${entryOf(entry)} ${words}`)
      }
      entry.effects++
      if (entry.effects > 1) {
        const words = `had effects ${entry.firstEffectAt} and ${at} of the group`
        return findings.add('group effect twice', () => `${entryOf(entry)} ${words}`)
      }
      entry.firstEffectAt = at
      checkOrder(entry, at)
    },

    groupLetter({ group, seq, status, message }) {
      const entry = entries.get(seq)
      if (group !== HANDLING_GROUP) return
      counts.groupDead++
      if (status !== 'open') findings.add('leftover', () => `the dead letter of seq ${seq} in the group is ${status}`)
      if (entry) entry.dead = message
      else findings.add('group effect without entry', () => `the group has a dead letter of seq ${seq}`)
    },

    check() {
      for (const entry of entries.values()) {
        const { effects, dead, unread } = entry
        if (effects === 0 && dead === undefined && !unread) {
          findings.add('group effect lost', () => `${entryOf(entry)} had no effect in the group`)
        }
        if (effects > 0 && dead !== undefined) {
          findings.add('group two ends', () => `${entryOf(entry)} had an effect in the group and is dead: ${dead}`)
        }
        if (dead !== undefined && !isRefused(entry.id)) {
          findings.add('group dead for no reason', () => `${entryOf(entry)} is dead in the group: ${dead}`)
        }
      }
    },

    counts: () => counts,
  }
}

const entryOf = ({ position, partition, id, key }: EntryRow) =>
  `the entry at ${position} of partition ${partition} (${id}, key ${key})`
