/** Bugs in retention. */
import * as retention from '../quick/retention.js'
import type { Bug } from './bug.js'

export const removing: readonly Bug[] = [
  {
    name: 'a part is emptied without regard to dead letters',
    patches: [
      {
        file: 'db/parts/empty.js',
        find: 'FROM failed_events f WHERE f.seq >=',
        replace: 'FROM failed_events f WHERE false AND f.seq >=',
      },
    ],
    scenario: { quick: retention.keepsALetter },
    found: 'a dead letter keeps its event',
    telling: true,
  },
  {
    name: 'the first seq is not raised before a part is dropped',
    patches: [
      {
        file: 'db/parts/drop.js',
        find: 'UPDATE ledger SET first_seq =',
        replace: 'UPDATE ledger_parts SET looked_at = now() WHERE until_seq =',
      },
      // Otherwise it would try for ever.
      { file: 'db/parts/drop.js', find: 'return true;', replace: 'return false;' },
    ],
    scenario: { quick: retention.dropsAPart },
    found: 'a part without events is dropped',
  },
  {
    name: 'what changed before the lock is not looked at again',
    patches: [
      {
        file: 'db/parts/empty.js',
        find: 'await findKept(tx, range)',
        replace:
          'await sql`CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT seq, partition FROM found_before`.execute(tx)',
      },
    ],
    scenario: { quick: retention.replaysBeforeEmptying },
    found: 'an event that is being replayed keeps its row',
  },
]
