/** Bugs in the ownership of partitions. */

import * as owners from '../quick/owning.js'
import type { Bug } from './bug.js'

export const owning: readonly Bug[] = [
  {
    name: 'the epoch does not rise with the owner',
    patches: [{ file: 'db/ledger/partitions.js', find: 'epoch = epoch + 1', replace: 'epoch = epoch' }],
    scenario: { quick: owners.changesHands },
    found: 'epoch',
  },
  {
    name: 'a worker that was started again takes what it holds already',
    patches: [
      {
        file: 'engine/ownership/ownership.js',
        find: 'const inHand = new Set([...idsOf(leases), ...leaving.keys()]);',
        replace: 'const inHand = new Set();',
      },
    ],
    scenario: { quick: owners.startsWithALockedRow },
    found: 'what it holds is not taken again',
  },
]
