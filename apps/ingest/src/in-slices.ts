/** Long work in slices: a body of megabytes keeps nobody else waiting for longer than a moment. */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Longer than all of an ordinary batch takes. */
const SLICE_MS = 20

/** Does it to each, in their order, and lets others have their turn whenever a slice is over. */
export async function inSlices<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Result,
): Promise<Result[]> {
  const results: Result[] = []
  // What came before may have been long, too.
  let since = Number.NEGATIVE_INFINITY
  for (let index = 0; index < items.length; index++) {
    if (performance.now() - since > SLICE_MS) {
      await nextTurn()
      since = performance.now()
    }
    results.push(work(items[index]!, index))
  }
  return results
}
