/** Bugs in the transaction that settles a batch. */

import * as handlers from '../quick/handlers.js'
import * as postgres from '../quick/postgres.js'
import * as redis from '../quick/redis.js'
import * as waits from '../quick/waiting.js'
import * as scenarios from '../scenarios.js'
import type { Bug } from './bug.js'

/** The transaction of a worker that was frozen within it then lasts longer than the worker's lease. */
const IDLES_FOR_LONG = { file: 'engine/ownership/ownership.js', find: '0.6 * leaseMs', replace: '6_000' }

export const settling: readonly Bug[] = [
  {
    name: 'there is no fence',
    patches: [
      { file: 'engine/settle/write.js', find: 'await fence(tx, partitions, ownLeases)', replace: 'new Set()' },
      {
        file: 'db/ledger/settle.js',
        find: 'WHERE partition = ANY (ARRAY(SELECT id FROM holding))',
        replace: 'WHERE true',
      },
      { file: 'db/ledger/settle.js', find: '!holding.includes(partition)', replace: 'false' },
    ],
    scenario: scenarios.frozenWhileProcessing,
    found: 'stale write',
    telling: true,
  },
  {
    name: 'the fence locks nothing',
    patches: [
      { file: 'db/ledger/settle.js', find: 'ORDER BY id FOR NO KEY UPDATE OF partitions', replace: 'ORDER BY id' },
      IDLES_FOR_LONG,
      // Otherwise a frozen handler would fail.
      { file: 'engine/settle/effects.js', find: 'Math.min(callMs, 0.5 * leaseMs)', replace: '60_000' },
      { file: 'engine/settle/effects.js', find: 'Math.min(transactionMs, 0.8 * leaseMs)', replace: '60_000' },
    ],
    scenario: scenarios.frozenWhileSettling,
    found: 'stale write',
  },
  {
    name: 'the fence does not look at the mark',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'held.dirty IS NULL OR held.dirty = partition_marks.dirty',
        replace: 'true',
      },
    ],
    scenario: { quick: redis.refusesAnEntry },
    found: 'order',
    telling: true,
  },
  {
    name: 'the handler runs for all rows and not for those that are new',
    patches: [
      {
        file: 'engine/settle/write.js',
        find: 'processed.filter(({ delivery }) => inserted.delete(delivery.event.seq))',
        replace: 'processed',
      },
    ],
    scenario: { quick: redis.deliversTwice },
    found: 'effect twice',
    telling: true,
  },
  {
    name: 'an event that is settled already is settled again',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'ON CONFLICT DO NOTHING\n    RETURNING seq',
        replace: 'ON CONFLICT (seq) DO UPDATE SET seq = excluded.seq\n    RETURNING seq',
      },
    ],
    scenario: { quick: redis.deliversTwice },
    found: 'effect twice',
  },
  {
    name: 'dead letters are not written',
    patches: [
      { file: 'engine/settle/write.js', find: 'await insertFailed(tx, failed, { workerId, now });', replace: ';' },
    ],
    scenario: { quick: waits.fails },
    found: 'unsettled',
  },
  {
    name: 'attempts are counted up instead of written',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'SET attempts = excluded.attempts',
        replace: 'SET attempts = retries.attempts + 1',
      },
      { file: 'db/ledger/settle.js', find: 'WHERE retries.attempts < excluded.attempts', replace: '' },
    ],
    scenario: { quick: postgres.losesAnswerToCommit },
    found: 'attempts',
  },
  {
    name: 'the fence does not compare epochs',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'AS held(id, epoch, dirty) USING (id, epoch)',
        replace: 'AS held(id, epoch, dirty) USING (id)',
      },
    ],
    scenario: scenarios.frozenWhileProcessing,
    found: 'stale write',
  },
  {
    name: 'a settle locks the marks of its partitions',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'ORDER BY id FOR NO KEY UPDATE OF partitions',
        replace: 'ORDER BY id FOR NO KEY UPDATE',
      },
    ],
    scenario: { quick: redis.refusesWhileSettling },
    found: 'acceptance does not wait for a settle',
  },
  {
    name: 'handlers run type by type, not in the order of a key',
    patches: [
      { file: 'engine/settle/effects.js', find: 'if (index < (lastOfKey.get(key) ?? 0))', replace: 'if (index < 0)' },
    ],
    scenario: { quick: handlers.sendsTwoTypes },
    found: 'order',
  },
]
