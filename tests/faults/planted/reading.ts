/** Bugs in reading, claiming and acknowledging the entries of the streams. */

import * as redis from '../quick/redis.js'
import * as waits from '../quick/waiting.js'
import * as scenarios from '../scenarios.js'
import type { Bug } from './bug.js'

export const reading: readonly Bug[] = [
  {
    name: 'entries are acknowledged before the COMMIT, and none is caught up',
    patches: [
      {
        file: 'engine/lane/work.js',
        find: 'const settlement = await settleUntilDone(batch, outcomes);',
        replace: `await feed.acknowledge(deliveries.flatMap(({ event, entryIds }) =>
                    entryIds.map((id) => ({ partition: event.partition, id }))));
                  const settlement = await settleUntilDone(batch, outcomes);`,
      },
    ],
    scenario: scenarios.diesBeforeCommit,
    found: 'order',
  },
  {
    name: 'pending entries are not claimed on a take-over',
    patches: [
      {
        file: 'engine/lane/take-over.js',
        find: "else if (partition.state.source === 'stream')",
        replace: 'else if (partition.state.source === "stream") ;\n        else if (false)',
      },
      { file: 'redis/reading.js', find: 'const strays = partitions.filter(', replace: 'const strays = [].filter(' },
    ],
    scenario: scenarios.diesBeforeCommit,
    found: 'order',
  },
  {
    name: 'the group is created at $',
    patches: [
      { file: 'redis/group.js', find: "CONSUMER_GROUP, '0', 'MKSTREAM'", replace: "CONSUMER_GROUP, '$', 'MKSTREAM'" },
    ],
    scenario: { quick: redis.groupMadeLate },
    found: 'leftover',
  },
  {
    name: 'only the first pending entries are claimed',
    patches: [
      { file: 'redis/feed.js', find: 'from = claimed.next', replace: 'from = undefined' },
      { file: 'redis/reading.js', find: 'const strays = partitions.filter(', replace: 'const strays = [].filter(' },
    ],
    scenario: { quick: redis.claimsMany },
    found: 'order',
  },
  {
    name: 'an entry is acknowledged with the first of its events',
    patches: [
      {
        file: 'engine/partition/entries.js',
        find: 'left?.size === 0',
        replace: 'left !== undefined',
      },
    ],
    scenario: { quick: waits.sharesAnEntry },
    found: 'order',
    telling: true,
  },
  {
    name: 'entries that a former owner has read after all are not claimed',
    patches: [
      { file: 'redis/reading.js', find: 'const strays = partitions.filter(', replace: 'const strays = [].filter(' },
    ],
    scenario: { quick: redis.readByAZombie },
    found: 'order',
  },
  {
    name: 'acknowledged entries stay in the stream',
    patches: [{ file: 'redis/group.js', find: 'pipeline.xdel(key, ...ids);', replace: '' }],
    scenario: { quick: waits.fails },
    found: 'leftover',
  },
  {
    name: 'removed entries stay pending',
    patches: [{ file: 'redis/group.js', find: 'pipeline.xack(key, CONSUMER_GROUP, ...ids);', replace: '' }],
    scenario: { quick: waits.fails },
    found: 'leftover',
  },
]
