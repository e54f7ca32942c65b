/** What caused what, as a tree, from what each event says of itself: linear and finite, also where they contradict each other. */

/** What an event says of itself and of its cause. Both kinds of id may be given as a cause. */
export interface Linked {
  id: string
  external_id?: string
  causationid?: string
}

export interface Branch<Event> {
  event: Event
  caused: Branch<Event>[]
  /** Events below that are too deep to be shown. */
  deeper: number
}

/** Deeper branches are counted only. */
const MAX_DEPTH = 20

/** The first event of each name: ids that are given twice have one bearer. */
export function namesOf<Event extends Linked>(events: readonly Event[]): Map<string, Event> {
  const named = new Map<string, Event>()
  for (const event of events) {
    for (const name of [event.id, event.external_id]) {
      if (name !== undefined && !named.has(name)) named.set(name, event)
    }
  }
  return named
}

/**
 * Every event of `events`, which begin with the oldest, exactly once: below its cause, or at the root where that is not among
 * them or is the event itself. Of events that cause each other in a circle the oldest is the root.
 */
export function treeOf<Event extends Linked>(events: readonly Event[]): Branch<Event>[] {
  const named = namesOf(events)
  const causedBy = new Map<Event, Event[]>()
  const roots: Event[] = []
  for (const event of events) {
    const cause = event.causationid === undefined ? undefined : named.get(event.causationid)
    if (cause === undefined || cause === event) roots.push(event)
    else if (causedBy.get(cause)?.push(event) === undefined) causedBy.set(cause, [event])
  }

  const trees: Branch<Event>[] = []
  const placed = new Set<Event>()
  for (const start of [...roots, ...events]) {
    // What is reached from no root is in a circle, or below one.
    const waiting: { event: Event; below: Branch<Event> | undefined; depth: number }[] = [
      { event: start, below: undefined, depth: 0 },
    ]
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { event, depth } = next
      if (placed.has(event)) continue
      placed.add(event)
      let below = next.below
      if (below && depth > MAX_DEPTH) below.deeper++
      else {
        const branch = { event, caused: [], deeper: 0 }
        ;(below?.caused ?? trees).push(branch)
        below = branch
      }
      for (const caused of (causedBy.get(event) ?? []).toReversed()) {
        waiting.push({ event: caused, below, depth: depth + 1 })
      }
    }
  }
  return trees
}
