/** Bugs in the ledger: buckets of ids, parts, incarnations and positions. */
import * as ledger from '../quick/ledger.js'
import type { Bug } from './bug.js'

export const ofTheLedger: readonly Bug[] = [
  {
    name: 'at a turn, ids are claimed only in the new bucket',
    patches: [{ file: 'db/parts/buckets.js', find: 'turning = true', replace: 'turning = false' }],
    scenario: { quick: ledger.sentTwiceAtATurn },
    found: 'accepted once',
    telling: true,
  },
  {
    name: 'a claim does not look into the previous bucket',
    patches: [
      { file: 'db/ledger/event-ids.js', find: 'IS_IN(previous)', replace: "'false'" },
      { file: 'db/ledger/event-ids.js', find: 'IS_IN(KEPT_BUCKET)', replace: "'false'" },
    ],
    scenario: { quick: ledger.sentAgainAfterTurns },
    found: 'effect twice',
  },
  {
    name: 'the ids of events that are kept are not copied',
    patches: [{ file: 'db/parts/buckets.js', find: 'await copyKept(db, previous)', replace: '{}' }],
    scenario: { quick: ledger.sentAgainAfterTurns },
    found: 'effect twice',
  },
  {
    name: 'an event without a part is refused for good',
    patches: [{ file: 'db/server/sql-errors.js', find: 'if (isMissingPart(error))', replace: 'if (false)' }],
    scenario: { quick: ledger.partMissing },
    found: 'answered 503',
  },
  {
    name: 'entries with seqs that were not assigned yet are processed',
    patches: [{ file: 'engine/lane/read.js', find: 'isForgotten(entry, events) ?', replace: 'false ?' }],
    scenario: { quick: ledger.filesRestored },
    found: 'unexpected',
  },
  {
    name: 'a new incarnation keeps the secret of the one before',
    patches: [
      {
        file: 'db/server/incarnation.js',
        find: 'UPDATE installation SET entry_secret = $1',
        replace: 'SELECT $1::bytea',
      },
    ],
    scenario: { quick: ledger.dumpRestored },
    found: 'unexpected',
  },
  {
    name: 'the fence does not look at the timeline',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'IS_SAME_HISTORY}\n  ORDER BY id',
        replace: "'true'}\n  ORDER BY id",
      },
    ],
    scenario: { quick: ledger.standbyTookOver },
    found: 'a new incarnation',
  },
  {
    name: 'each batch draws its positions from 1',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: "nextval('log_position')",
        replace: 'row_number() OVER (PARTITION BY partition ORDER BY seq)',
      },
    ],
    scenario: { quick: ledger.positionsRise },
    found: 'positions rise',
  },
]
