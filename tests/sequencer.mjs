/** The order in which the test files begin: the longest first, so that none runs on alone at the end. */
import TestSequencer from '@jest/test-sequencer'

/** All that take over 20 s. Fixed, because a fresh clone has no durations of earlier runs; jest orders all others. */
const LONGEST = [
  ...[/planted-bugs/, /crash-points/, /faults\/remedies/, /watch\/alerts/, /tests\/dist\/tutorial/, /command-line/],
  ...[/flow\/workers/, /cli\/dist\/commands/, /flow\/rollbacks/, /flow\/stalls/, /db\/parts/, /flow\/groups-shared/],
  ...[/flow\/partition/, /flow\/logs/, /flow\/bad-user-code/, /flow\/bad-handlers/, /flow\/replay/, /parts\/parts/],
  ...[/flow\/handler-transactions/, /flow\/hostile/, /flow\/ticks/, /db\/retention/, /flow\/live/, /flow\/standby/],
  ...[/flow\/outages/, /flow\/groups-emits/, /tests\/dist\/local-standby/, /flow\/suspects/],
]

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
