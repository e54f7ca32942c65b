/** Turns: who has one works alone. */

/** Runs one piece of work after the other, in the order in which they were asked for. */
export type Turns = <Result>(work: () => Promise<Result>) => Promise<Result>

/**
 * The turns of suspects, of all lanes of a process: where two went alone at the same time, both would be blamed for the death of
 * the worker, again with each next owner, until the one that has done nothing is dead, too.
 */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
}
