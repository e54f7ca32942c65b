/** Entries of the streams, as deliveries. */
import { type Delivery, firstDelivery } from '@eventflow/core'
import { decodeEvent, type Entry, unpackEntry } from '@eventflow/stream'

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

/** Counts down the events of entries that are in hand: an entry is acknowledged when the last of its events is done. */
export interface OpenEntries {
  /** Takes in what an entry has brought. */
  open(id: string, events: number): void
  /** Says that one event of each of these entries is done, and gives the entries that have no more. */
  close(ids: readonly string[]): string[]
}

export function createOpenEntries(): OpenEntries {
  const open = new Map<string, number>()
  return {
    open: (id, events) => void open.set(id, events),
    close: (ids) =>
      ids.filter((id) => {
        const left = (open.get(id) ?? 0) - 1
        // Of an entry that was given up meanwhile nothing is known; its next consumer finds its events settled.
        if (left <= 0) return open.delete(id)
        open.set(id, left)
        return false
      }),
  }
}
