/** Bugs of accepting and publishing. */

import * as postgres from '../quick/postgres.js'
import * as redis from '../quick/redis.js'
import type { Bug } from './bug.js'

export const accepting: readonly Bug[] = [
  {
    name: 'the mark is not made',
    patches: [{ file: 'ingest/accept.js', find: 'await markDirty(db, [...unpublished]);', replace: ';' }],
    scenario: { quick: redis.refusesAnEntry },
    found: 'order',
    telling: true,
  },
  {
    name: 'the mark is made after the 202',
    patches: [
      {
        file: 'ingest/accept.js',
        find: 'await markDirty(db, [...unpublished]);',
        replace: 'setTimeout(() => markDirty(db, [...unpublished]), 1_000);',
      },
    ],
    scenario: { quick: redis.refusesAnEntry },
    found: 'order',
    telling: true,
  },
  {
    name: 'events are inserted without ON CONFLICT',
    patches: [
      {
        file: 'db/raw-events.js',
        find: 'ON CONFLICT DO NOTHING',
        replace: '',
      },
    ],
    scenario: { quick: postgres.losesAnswerToInsert },
    found: 'refused',
    telling: true,
  },
  {
    name: 'events are answered as accepted before they are stored',
    patches: [
      {
        file: 'ingest/accept.js',
        find: 'const { receipts, fresh } = await store(events);',
        replace: `answerAll(requests, events.map(() => 'accepted'));
                  const { receipts, fresh } = await store(events);`,
      },
    ],
    scenario: { quick: postgres.cannotStore },
    found: 'lost',
    telling: true,
  },
]
