/** Long work in slices: a body of megabytes keeps nobody else waiting for longer than a moment. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTurns } from '@eventflow/core'

/** About as long as all of an ordinary batch takes. */
const SLICE_MS = 5

/** However many bodies are being read, one slice is done in each turn of the event loop. */
const turns = createTurns({ atOnce: 1, atOnceEach: 1, waitingEach: Number.POSITIVE_INFINITY })

/**
 * Does work that pauses, and gives what it returns. Other requests have their turn whenever a slice is over; with long work, each
 * tenant in turn.
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

/** Does it to each, in their order, and pauses after each as `stepByStep` does. */
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
