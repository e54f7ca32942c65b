/** Entries of the streams, as deliveries. */
import { type Delivery, firstDelivery } from '@eventflow/core'
import { decodeEntry, type Entry } from '@eventflow/stream'

/** Nothing for an entry that is no event, or one of another partition: its stream is not where it belongs. */
export function deliveryOf({ id, partition, text }: Entry): Delivery | undefined {
  try {
    const event = decodeEntry(text ?? '')
    return event.partition === partition ? firstDelivery(event, [id]) : undefined
  } catch {
    return undefined
  }
}

/** An entry that is no event is before all others: nothing can be told from it. */
export function seqOf(entry: Entry): number {
  return deliveryOf(entry)?.event.seq ?? 0
}
