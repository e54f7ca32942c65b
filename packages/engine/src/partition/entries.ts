/** Entries of the streams, as deliveries. */
import { type Delivery, decodeEvent, type Entry, firstDelivery, unpackEntry } from '@eventflow/core'

/** What an entry brings. What in it is no event, or one of another partition, is left out. */
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

/** The lowest and the highest seq in an entry. One without events is before all others: nothing can be told from it. */
export function seqsOf(entry: Entry): { lowest: number; highest: number } {
  const seqs = deliveriesOf(entry).map(({ event }) => event.seq)
  return seqs.length === 0 ? { lowest: 0, highest: 0 } : { lowest: Math.min(...seqs), highest: Math.max(...seqs) }
}

/** The events of entries that are in hand: an entry is acknowledged when the last of its events is done. */
export interface OpenEntries {
  /** Takes in what an entry has brought, by the seqs of its events. */
  open(id: string, seqs: Set<number>): void
  /**
   * Says that an event is done, as far as these entries go, and gives those that have no more. An event may be done
   * twice.
   */
  close(ids: readonly string[], seq: number): string[]
}

export function createOpenEntries(): OpenEntries {
  const open = new Map<string, Set<number>>()
  return {
    open: (id, seqs) => void open.set(id, seqs),
    close: (ids, seq) =>
      ids.filter((id) => {
        // Of an entry that was given up meanwhile nothing is known; its next consumer finds its events settled.
        const left = open.get(id)
        left?.delete(seq)
        return left?.size === 0 && open.delete(id)
      }),
  }
}
