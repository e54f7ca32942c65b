/** Bugs of who owns what. */
import * as scenarios from '../scenarios.js'
import type { Bug } from './bug.js'

export const owning: readonly Bug[] = [
  {
    name: 'the epoch does not rise with the owner',
    patches: [{ file: 'db/partitions.js', find: 'epoch = epoch + 1', replace: 'epoch = epoch' }],
    scenario: scenarios.comesBack,
    found: 'epoch',
  },
]
