/** Runs tasks one at a time. */

/** Runs tasks one after another, in the order of the calls. Resolves or rejects as the task does. */
export type Turns = <Result>(work: () => Promise<Result>) => Promise<Result>

/**
 * Creates the queue in which all lanes of a process run their suspects. If two groups ran at the same time, both would
 * be blamed for a crash, at each next owner again, until the innocent one has failed, too.
 */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
}
