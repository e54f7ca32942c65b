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
  let since = performance.now()
  for (let index = 0; index < items.length; index++) {
    results.push(work(items[index]!, index))
    if (performance.now() - since < SLICE_MS) continue
    await nextTurn()
    since = performance.now()
  }
  return results
}
