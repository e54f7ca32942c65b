/** Bugs in consumer groups and the events that they emit. */

import * as groups from '../quick/groups.js'
import type { Bug } from './bug.js'

export const ofGroups: readonly Bug[] = [
  {
    name: 'the cursor of a group is moved from wherever it is',
    patches: [
      {
        file: 'db/groups/cursors.js',
        find: 'USING (partition, epoch, position)',
        replace: 'USING (partition, epoch)',
      },
    ],
    scenario: { quick: groups.isRunTwice },
    found: 'group effect twice',
  },
  {
    name: 'the cursor of a group is moved in any epoch',
    patches: [
      {
        file: 'db/groups/cursors.js',
        find: 'USING (partition, epoch, position)',
        replace: 'USING (partition, position)',
      },
    ],
    scenario: { quick: groups.isTakenWhileItBegins },
    found: 'a former owner writes nothing',
  },
  {
    name: 'the cursor of a group is moved in a transaction of its own',
    patches: [
      {
        file: 'engine/groups/write.js',
        find: 'await fence(tx, part, targets, generation, partitions)',
        replace: 'await fence(db, part, targets, generation, partitions)',
      },
    ],
    scenario: { quick: groups.failsInAGroup },
    found: 'group effect lost',
    telling: true,
  },
  {
    name: 'parked events are handled without a look at their rows',
    patches: [
      {
        file: 'engine/groups/group-rows.js',
        find: 'await lockParked(tx, generation.groupId, states)',
        replace: 'new Set(states.map(({ seq }) => seq))',
      },
    ],
    scenario: { quick: groups.isParkedAndHandled },
    found: 'group effect twice',
  },
  {
    name: 'a parked event is overtaken by later events of its key',
    patches: [
      {
        file: 'engine/groups/group-work.js',
        find: 'blockedKeys: reader.blockedKeys()',
        replace: 'blockedKeys: []',
      },
    ],
    scenario: { quick: groups.waitsInAGroup },
    found: 'group order',
  },
  {
    name: 'parked events are not loaded after a take-over',
    patches: [
      {
        file: 'engine/groups/read.js',
        find: 'await readParked(db, groupId, partition.lease.partition, place)',
        replace: '[]',
      },
    ],
    scenario: { quick: groups.isParkedThroughATakeOver },
    found: 'leftover',
  },
  {
    name: 'the next owner does not mark what may be unpublished',
    patches: [{ file: 'engine/groups/read.js', find: 'await markDirty(db, targets);', replace: ';' }],
    scenario: { quick: groups.losesTheAnswerToAnEmission },
    found: 'derived order',
  },
  {
    name: 'what may be unpublished is not recorded',
    patches: [
      {
        file: 'engine/groups/group-rows.js',
        find: 'await recordUnpublished(tx, generation, id, [...all]);',
        replace: ';',
      },
    ],
    scenario: { quick: groups.losesTheAnswerToAnEmission },
    found: 'derived order',
  },
  {
    name: 'the ids of emitted events are random',
    patches: [
      {
        file: 'engine/groups/emits.js',
        find: 'id: uuidOf(tenantId,',
        replace: 'id: crypto.randomUUID() ?? uuidOf(tenantId,',
      },
    ],
    scenario: { quick: groups.emitsAgain },
    found: 'derived twice',
  },
  {
    name: 'emitted events are not published',
    patches: [
      { file: 'engine/groups/write.js', find: 'await announce(emitted.events, emitted.incarnation);', replace: ';' },
    ],
    scenario: { quick: groups.emits },
    found: 'what is emitted is published',
  },
  {
    name: 'that an emitted event can be neither published nor marked is ignored',
    patches: [
      {
        file: 'engine/groups/write.js',
        find: 'await announce(emitted.events, emitted.incarnation);',
        replace: 'await announce(emitted.events, emitted.incarnation).catch(() => {});',
      },
    ],
    scenario: { quick: groups.canNeitherPublishNorMark },
    found: 'derived order',
  },
  {
    name: 'the watermark does not see the transactions of groups',
    patches: [
      {
        file: 'db/server/connect.js',
        find: 'ACCEPTING_APPLICATIONS = [INGEST_APPLICATION, GROUPS_APPLICATION]',
        replace: 'ACCEPTING_APPLICATIONS = [INGEST_APPLICATION]',
      },
    ],
    scenario: { quick: groups.emitsForLong },
    found: 'the watermark waits for emitted events',
  },
]
