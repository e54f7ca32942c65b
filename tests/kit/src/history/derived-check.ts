/**
 * Checks the events that the consumer group `fault-emitting` has emitted: one for each event that leads to another, in
 * the order of the log.
 */
import { type KnownEvent, nameOf } from './known-event.js'
import type { EntryRow, GroupLetterRow } from './rows.js'
import type { Findings } from './verdict.js'

const EMITTING_GROUP = 'fault-emitting'

export interface DerivedCheck {
  /** An emitted event was accepted. In the order of acceptance. */
  derived(event: KnownEvent, seq: number): void
  /** An emitted event took effect. In the order of the effects. */
  derivedEffect(event: KnownEvent): void
  entry(row: EntryRow): void
  groupLetter(row: GroupLetterRow): void
  check(): void
}

/** An event that leads to another. Once its id may be forgotten, it can be sent again: then it has several entries. */
interface Cause {
  position: number
  entries: number
  /** Entries that need not have led to another event: they were removed unread, or are dead in the group. */
  excused: number
  accepted: number
}

/** `check` is called once everything was given. */
export function createDerivedCheck(findings: Findings): DerivedCheck {
  const causes = new Map<string, Cause>()
  const idsOfSeqs = new Map<number, string>()
  const accepted: KnownEvent[] = []
  const seqs = new Map<KnownEvent, number>()
  const lastEffectOfKey = new Map<string, KnownEvent>()

  const isOnce = (event: KnownEvent) => event.accepted === 1 && !event.again

  /** Compares with the acceptance, not with the log: an event that failed before enters it later. */
  function checkEffects(event: KnownEvent): void {
    if (!isOnce(event)) return
    const before = lastEffectOfKey.get(event.key)
    lastEffectOfKey.set(event.key, event)
    if (!before || seqs.get(before)! < seqs.get(event)!) return
    findings.add('derived order', () => `${nameOf(before)} took effect before ${nameOf(event)}, and was accepted later`)
  }

  function checkAcceptance(): void {
    const lastOfKey = new Map<string, KnownEvent>()
    for (const event of accepted) {
      const cause = causes.get(event.cause!.id)
      if (cause?.entries !== 1) continue
      const before = lastOfKey.get(event.key)
      lastOfKey.set(event.key, event)
      if (!before || causes.get(before.cause!.id)!.position <= cause.position) continue
      const words = 'and comes later in the log than the event that led to'
      findings.add('derived order', () => `${nameOf(before)} was accepted before, ${words} ${nameOf(event)}`)
    }
  }

  return {
    derived(event, seq) {
      accepted.push(event)
      seqs.set(event, seq)
    },

    derivedEffect: checkEffects,

    entry({ isLeading, id, seq, position, unread }) {
      if (!isLeading) return
      idsOfSeqs.set(seq, id)
      const cause = causes.get(id) ?? { position, entries: 0, excused: 0, accepted: 0 }
      cause.entries++
      if (unread) cause.excused++
      causes.set(id, cause)
    },

    groupLetter({ group, seq, message }) {
      if (group !== EMITTING_GROUP) return
      findings.add('group dead for no reason', () => `seq ${seq} is dead in the group that emits: ${message}`)
      const cause = causes.get(idsOfSeqs.get(seq) ?? '')
      if (cause) cause.excused++
    },

    check() {
      for (const event of accepted) {
        const cause = causes.get(event.cause!.id)
        if (cause) cause.accepted++
        else findings.add('derived without cause', () => `${nameOf(event)} was accepted: its cause is not in the log`)
      }
      for (const [id, { entries, excused, accepted }] of causes) {
        if (accepted === 0 && entries > excused) findings.add('derived lost', () => `${id} has led to no other event`)
        if (accepted > entries) {
          findings.add('derived twice', () => `${id} is ${entries} times in the log, and has led to ${accepted} events`)
        }
      }
      checkAcceptance()
    },
  }
}
