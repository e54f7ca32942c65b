/** Turns: one piece of work at a time. */

/** Runs one piece of work after the other, in the order in which they were asked for. */
export type Turns = <Result>(work: () => Promise<Result>) => Promise<Result>

/**
 * The turns of suspects, for all lanes of a process. If two suspects ran at the same time, both would be blamed for the
 * death of the worker, again with each next owner, until the innocent one has failed too.
 */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
}
