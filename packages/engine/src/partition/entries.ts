/** Unpacks stream entries into deliveries and tracks which entries can be acknowledged. */
import { type Delivery, decodeEvent, type Entry, firstDelivery, unpackEntry } from '@eventflow/core'

/**
 * Returns the events of an entry as deliveries. Leaves out text that is not an event, and events of another partition.
 */
export function deliveriesOf({ id, partition, text }: Entry): Delivery[] {
  return unpackEntry(text ?? '').flatMap((packed) => {
    try {
      const { event, payload } = decodeEvent(packed)
      return event.partition === partition ? firstDelivery(event, payload, [id]) : []
    } catch {
      return []
    }
  })
}

/**
 * Returns the lowest and the highest seq in an entry. Both are 0 for an entry without events, which tells nothing about
 * its place.
 */
export function seqsOf(entry: Entry): { lowest: number; highest: number } {
  const seqs = deliveriesOf(entry).map(({ event }) => event.seq)
  return seqs.length === 0 ? { lowest: 0, highest: 0 } : { lowest: Math.min(...seqs), highest: Math.max(...seqs) }
}

/** The open events of the entries in memory. An entry is acknowledged when its last event is closed. */
export interface OpenEntries {
  /** Adds an entry with the seqs of its events. */
  open(id: string, seqs: Set<number>): void
  /**
   * Closes an event in these entries. Returns the entries that have no open event left. An event may be closed twice.
   */
  close(ids: readonly string[], seq: number): string[]
}

/** Creates an empty record of open entries. */
export function createOpenEntries(): OpenEntries {
  const open = new Map<string, Set<number>>()
  return {
    open: (id, seqs) => void open.set(id, seqs),
    close: (ids, seq) =>
      ids.filter((id) => {
        // The entry was given up meanwhile; its next consumer will find the events settled.
        const left = open.get(id)
        left?.delete(seq)
        return left?.size === 0 && open.delete(id)
      }),
  }
}
