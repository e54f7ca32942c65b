/** Long work in slices of milliseconds, so that a body of megabytes does not hold up other requests. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTurns } from '@eventflow/core'

/** About as long as all of an ordinary batch takes. */
const SLICE_MS = 5

/** However many bodies are being read, one slice is done in each turn of the event loop. */
const turns = createTurns({ atOnce: 1, atOnceEach: 1, waitingEach: Number.POSITIVE_INFINITY })

/** Runs `work` on each item, in order. Other requests run between slices; tenants with long work take turns. */
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
