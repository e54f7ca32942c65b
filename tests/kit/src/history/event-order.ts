/** Checks whether the effects of each key came in the order in which its events were sent. */
import { type KnownEvent, nameOf, seconds } from './known-event.js'
import type { Findings } from './verdict.js'

/** Checks the order of the effects of every key. */
export function checkOrder(events: Iterable<KnownEvent>, findings: Findings): void {
  for (const ofKey of byKey(events)) checkKey(ofKey, findings)
}

/**
 * Checks the effects of a key in the order in which they happened: none may come after the effect of an event that was
 * sent when it had already been acknowledged. Events of one request are in the order of the request. Requests that
 * overlapped are in any order, and so are replayed events.
 */
function checkKey(events: readonly KnownEvent[], findings: Findings): void {
  const happened = events
    .filter(({ effects, again }) => effects > 0 && !again)
    .sort((a, b) => a.firstEffectAt - b.firstEffectAt)
  let firstAcked: KnownEvent | undefined // of the effects later than the current one
  const firstOfOperation = new Map<number, KnownEvent>()
  for (const event of happened.reverse()) {
    const sibling = firstOfOperation.get(event.op)
    if (sibling && sibling.index < event.index) findings.add('order', () => inversion(sibling, event, 'same request'))
    if (!sibling || event.index < sibling.index) firstOfOperation.set(event.op, event)
    if (firstAcked && firstAcked.ackedAt < event.from) {
      const earlier = firstAcked
      const words = `acknowledged at ${seconds(earlier.ackedAt)}, sent at ${seconds(event.from)}`
      findings.add('order', () => inversion(earlier, event, words))
    }
    if (!firstAcked || event.ackedAt < firstAcked.ackedAt) firstAcked = event
  }
}

function byKey(events: Iterable<KnownEvent>): Iterable<KnownEvent[]> {
  const keys = new Map<string, KnownEvent[]>()
  for (const event of events) {
    const others = keys.get(event.key)
    if (others) others.push(event)
    else keys.set(event.key, [event])
  }
  return keys.values()
}

function inversion(earlier: KnownEvent, later: KnownEvent, why: string): string {
  const effects = `yet effect ${later.firstEffectAt} came before effect ${earlier.firstEffectAt}`
  return `${nameOf(later)} was sent after ${nameOf(earlier)} (${why}), ${effects}`
}
