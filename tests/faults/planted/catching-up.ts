/** Bugs in catching up from Postgres, and in returning to the stream. */

import * as redis from '../quick/redis.js'
import * as waits from '../quick/waiting.js'
import * as scenarios from '../scenarios.js'
import type { Bug } from './bug.js'

export const catchingUp: readonly Bug[] = [
  {
    name: 'no partition is ever caught up',
    patches: [
      {
        file: 'engine/partition/begin.js',
        find: 'if (reason)\n',
        replace: 'if (false)\n',
      },
      {
        file: 'engine/lane/upkeep.js',
        find: 'await findUnpublished(streaming, { db, feed, metrics })',
        replace: '{ deliveries: [], more: false }',
      },
    ],
    scenario: { quick: redis.forgetsBacklog },
    found: 'unsettled',
  },
  {
    name: 'events are caught up with by their age only',
    patches: [
      {
        file: 'engine/partition/begin.js',
        find: 'if (reason)\n',
        replace: 'if (false)\n',
      },
    ],
    scenario: { quick: redis.forgetsBacklog },
    found: 'order',
  },
  {
    name: 'the watermark moves over events that wait',
    patches: [{ file: 'engine/partition/catch-up.js', find: 'memory.keys.lowestSeq() - 1, ', replace: '' }],
    scenario: { quick: waits.passedByTheWatermark },
    found: 'unsettled',
  },
  {
    name: 'what only its owner knows of is not written down before the stream is used again',
    patches: [{ file: 'engine/partition/join.js', find: 'memory.keys.onlyHere()', replace: '[]' }],
    scenario: { quick: waits.knownToTheirOwnerOnly },
    found: 'order',
  },
  {
    name: 'a lost connection that no command noticed is passed over',
    patches: [{ file: 'engine/partition/interruptions.js', find: 'ofAll++', replace: '' }],
    scenario: { quick: redis.failsOverDuringABatch },
    found: 'order',
  },
  {
    name: 'the process of Redis is not compared',
    patches: [
      {
        file: 'engine/partition/begin.js',
        find: 'if (knownIdentity !== (await feed.identity(id)))',
        replace: 'if (false)',
      },
    ],
    scenario: { quick: redis.failsOverBetweenOwners },
    found: 'order',
    telling: true,
  },
  {
    name: 'the last event is read before the mark and the entries',
    patches: [
      {
        file: 'engine/partition/join.js',
        find: 'const interruptions = deps.interruptions.count(id);',
        replace:
          'const interruptions = deps.interruptions.count(id);\n    const [last] = await readLastSeqs(db, [id]);\n    await new Promise((resolve) => setTimeout(resolve, 300));',
      },
      {
        file: 'engine/partition/join.js',
        find: '    const [last] = await readLastSeqs(db, [id]);\n    if (known)',
        replace: '    if (known)',
      },
    ],
    scenario: { quick: redis.sendsWhileItAims },
    found: 'order',
  },
  {
    name: 'a stream that is made again is not noted as broken first',
    patches: [
      {
        file: 'engine/partition/begin.js',
        find: 'if (!(await markBroken(db, { partition: id, epoch })))',
        replace: 'if (false)',
      },
    ],
    scenario: scenarios.diesRemakingAStream,
    found: 'order',
  },
  {
    name: 'a mark that was made meanwhile is cleared',
    patches: [
      { file: 'db/ledger/partition-marks.js', find: 'dirty = $3', replace: '($3::bigint IS NOT NULL)' },
      {
        file: 'engine/partition/join.js',
        find: '    if (!(await markWhole(',
        replace: '    await new Promise((resolve) => setTimeout(resolve, 200));\n    if (!(await markWhole(',
      },
    ],
    scenario: { quick: redis.refusesOnTheWayBack },
    found: 'order',
  },
  {
    name: 'what only its owner knows of is taken to be written down',
    patches: [
      {
        file: 'engine/partition/join.js',
        find: 'if (!(await recordWaiting(db',
        replace: 'if (false && !(await recordWaiting(db',
      },
    ],
    scenario: { quick: waits.knownToTheirOwnerOnly },
    found: 'order',
  },
]
