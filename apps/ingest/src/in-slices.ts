/** Long work in slices: a body of megabytes keeps nobody else waiting for longer than a moment. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTurns } from '@eventflow/core'

/** About as long as all of an ordinary batch takes. */
const SLICE_MS = 5

/** However many bodies are being read, one slice is done in each turn of the event loop. */
const turns = createTurns({ atOnce: 1, atOnceEach: 1, waitingEach: Number.POSITIVE_INFINITY })

/** Does it to each, in their order. Other requests have their turn whenever a slice is over; with long work, each tenant in turn. */
export async function inSlices<Item, Result>(
  tenantId: string,
  items: readonly Item[],
  work: (item: Item, index: number) => Result,
): Promise<Result[]> {
  const results: Result[] = []
  while (results.length < items.length) {
    await turns.run(tenantId, async () => {
      await nextTurn()
      const end = performance.now() + SLICE_MS
      do results.push(work(items[results.length]!, results.length))
      while (results.length < items.length && performance.now() < end)
    })
  }
  return results
}
