/** Bugs in accepting and publishing. */

import * as postgres from '../quick/postgres.js'
import * as redis from '../quick/redis.js'
import * as scenarios from '../scenarios.js'
import type { Bug } from './bug.js'

export const accepting: readonly Bug[] = [
  {
    name: 'the mark is not made',
    patches: [{ file: 'intake/announce.js', find: 'await markDirty(db, [...unpublished]);', replace: ';' }],
    scenario: { quick: redis.refusesAnEntry },
    found: 'order',
    telling: true,
  },
  {
    name: 'the mark is made after the 202',
    patches: [
      {
        file: 'intake/announce.js',
        find: 'await markDirty(db, [...unpublished]);',
        replace: 'setTimeout(() => markDirty(db, [...unpublished]), 1_000);',
      },
    ],
    scenario: { quick: redis.refusesAnEntry },
    found: 'order',
  },
  {
    name: 'ids are claimed without ON CONFLICT',
    patches: [
      {
        file: 'db/ledger/event-ids.js',
        find: 'ON CONFLICT DO NOTHING\n    RETURNING tenant_id',
        replace: 'RETURNING tenant_id',
      },
    ],
    scenario: { quick: postgres.losesAnswerToInsert },
    found: 'refused',
  },
  {
    name: 'events are answered as accepted before they are stored',
    patches: [
      {
        file: 'intake/accept.js',
        find: 'const { receipts, fresh, incarnation } = await store(events);',
        replace: `answerAll(requests, events.map(() => ({ outcome: 'accepted' })));
                  const { receipts, fresh, incarnation } = await store(events);`,
      },
    ],
    scenario: { quick: postgres.cannotStore },
    found: 'lost',
    telling: true,
  },
  {
    name: 'what Redis refused is not told',
    patches: [
      {
        file: 'redis/publish.js',
        find: 'if (!isAdded(replies[at]))\n                    unpublished.add(partition);',
        replace: '',
      },
    ],
    scenario: { quick: redis.refusesAnEntry },
    found: 'order',
  },
  {
    name: 'events of a request are published in another order',
    patches: [
      {
        file: 'intake/store.js',
        find: 'fresh.sort((a, b) => a.seq - b.seq)',
        replace: 'fresh.sort((a, b) => b.seq - a.seq)',
      },
    ],
    scenario: { quick: redis.sendsARun },
    found: 'order',
  },
  {
    name: 'the entries of a request are added one by one',
    patches: [
      { file: 'redis/publish.js', find: "    if (!single)\n        pipeline.call('multi');\n", replace: '' },
      { file: 'redis/publish.js', find: "    if (!single)\n        pipeline.call('exec');\n", replace: '' },
    ],
    scenario: { quick: redis.refusesTheFirstEntries },
    found: 'order',
  },
  {
    name: 'a duplicate that was never published is not published either',
    patches: [{ file: 'intake/store.js', find: 'known.undelivered', replace: 'false' }],
    scenario: scenarios.ingestDiesBeforeItPublishes,
    found: 'order',
  },
  {
    name: 'an event that is sent again is taken for another one',
    patches: [
      {
        file: 'intake/store.js',
        find: 'sameContent(event, known) ? RECEIPTS.duplicate : RECEIPTS.conflict',
        replace: 'RECEIPTS.conflict',
      },
    ],
    scenario: { quick: postgres.losesAnswerToInsert },
    found: 'refused',
  },
]
