/** Splits long work into slices, so that a body of megabytes blocks other requests only briefly. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTurns } from '@eventflow/core'

/** About as long as a whole ordinary batch takes. */
const SLICE_MS = 5

/** One slice is done in each turn of the event loop, no matter how many bodies are being read. */
const turns = createTurns({ atOnce: 1, atOnceEach: 1, waitingEach: Number.POSITIVE_INFINITY })

/**
 * Does work that pauses, and resolves with its result. Other requests run after each slice; long work of several
 * tenants takes turns.
 */
export async function stepByStep<Result>(tenantId: string, work: Iterator<void, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = await turns.run(tenantId, async () => {
      await nextTurn()
      const end = performance.now() + SLICE_MS
      let step = work.next()
      while (!step.done && performance.now() < end) step = work.next()
      return step
    })
    if (done) return value
  }
}

/** Applies a function to each item in order, and pauses after each like `stepByStep`. */
export function inSlices<Item, Result>(
  tenantId: string,
  items: readonly Item[],
  work: (item: Item, index: number) => Result,
): Promise<Result[]> {
  function* workOnEach(): Generator<void, Result[]> {
    const results: Result[] = []
    for (const [index, item] of items.entries()) {
      results.push(work(item, index))
      yield
    }
    return results
  }
  return stepByStep(tenantId, workOnEach())
}
