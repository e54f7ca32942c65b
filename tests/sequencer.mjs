/** The order in which the test files begin: the longest first, so that none runs on alone at the end. */
import TestSequencer from '@jest/test-sequencer'

/** Fixed, because a fresh clone has no durations of earlier runs; jest orders all others. */
const LONGEST = [/planted-bugs/, /crash-points/, /command-line/, /flow\/live/]

const place = ({ path }) => {
  const found = LONGEST.findIndex((pattern) => pattern.test(path))
  return found < 0 ? LONGEST.length : found
}

/** An `.mjs` file, because jest accepts no sequencer from an ES module with another extension. */
export default class extends TestSequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => place(a) - place(b))
  }
}
