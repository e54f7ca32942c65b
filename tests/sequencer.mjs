/** The order in which the test files begin: those first that take longest, so that none runs on alone at the end. */
import TestSequencer from '@jest/test-sequencer'

/** By what they are, as a fresh clone has no durations of earlier runs; all others are ordered by jest. */
const LONGEST = [/from-tarballs/, /planted-bugs/, /crash-points/, /command-line/, /flow\/live/]

const place = ({ path }) => {
  const found = LONGEST.findIndex((pattern) => pattern.test(path))
  return found < 0 ? LONGEST.length : found
}

/** Written as `.mjs` because jest takes no sequencer from an ES module of another name. */
export default class extends TestSequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => place(a) - place(b))
  }
}
