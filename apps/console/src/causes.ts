/**
 * Builds the tree of causes from what each event states: in linear time and without cycles, even if events contradict
 * each other.
 */

/** The ids of an event, and its stated cause. Either kind of id may be given as a cause. */
export interface Linked {
  id: string
  external_id?: string
  causationid?: string
}

export interface Branch<Event> {
  event: Event
  caused: Branch<Event>[]
  /** The number of events below that are too deep to show. */
  deeper: number
}

/** Deeper events are only counted. */
const MAX_DEPTH = 20

/** Maps each id to the first event with it. */
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
 * Returns a tree with every event of `events`, which must begin with the oldest, exactly once: below its cause, or at
 * the root if the cause is not among them or is the event itself. If events cause each other in a cycle, the oldest is
 * at the root.
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
    // Events that no root reaches are in a cycle, or below one.
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
