/** Bugs in waiting: retries, keys, suspects. */

import * as handlers from '../quick/handlers.js'
import * as waits from '../quick/waiting.js'
import type { Bug } from './bug.js'

export const waiting: readonly Bug[] = [
  {
    name: 'a retry is overtaken by later events of its key',
    patches: [
      {
        file: 'engine/settle/settle.js',
        find: 'if (blockedKeys.size > 0 && blockedKeys.has(orderOf(delivery))) {',
        replace: 'if (false) {',
      },
    ],
    scenario: { quick: waits.fails },
    found: 'order',
    telling: true,
  },
  {
    name: 'retries are not read after a take-over',
    patches: [
      {
        file: 'engine/partition/begin.js',
        find: 'await readRetries(db, partition.id, { after: state.loadedUpTo, limit: RETRIES_AT_ONCE })',
        replace: '[]',
      },
      {
        file: 'engine/lane/upkeep.js',
        find: 'await takeUpRetries(begun().filter(state.hasRoom), RETRIES_AT_ONCE, db)',
        replace: 'false',
      },
    ],
    scenario: { quick: waits.waitsThroughATakeOver },
    found: 'unsettled',
  },
  {
    name: 'an event that waits for its source does not hold up those behind it',
    patches: [
      {
        file: 'engine/settle/settle.js',
        find: "if (kind === 'wait' || kind === 'retry') {\n            blockedKeys.add(orderOf(delivery));",
        replace:
          "if (kind === 'wait' || kind === 'retry') {\n            if (kind === 'retry') blockedKeys.add(orderOf(delivery));",
      },
    ],
    scenario: { quick: waits.waitsWithAnother },
    found: 'order',
  },
  {
    name: 'what waits is read in the order in which it is due',
    patches: [
      {
        file: 'db/ledger/retries.js',
        find: 'AND w.seq > $2 ORDER BY w.seq',
        replace: 'AND w.seq > $2 ORDER BY w.due_at',
      },
    ],
    scenario: { quick: waits.dueInAnotherOrder },
    found: 'order',
  },
  {
    name: 'what waits in memory is not bounded',
    patches: [
      {
        file: 'engine/lane/lane.js',
        find: '!keys || (keys.size() < maxWaiting && keys.bytes() < maxWaitingBytes / partitions.size)',
        replace: 'true',
      },
    ],
    scenario: { quick: waits.waitsInGreatNumber },
    found: 'what waits in memory is bounded',
  },
  {
    name: 'entries are closed by counting, and a retry counts twice',
    patches: [
      {
        file: 'engine/partition/entries.js',
        find: 'left?.delete(seq)',
        replace: 'left?.delete(left.values().next().value)',
      },
      { file: 'engine/settle/settle.js', find: 'entryIds: [], attempts', replace: 'attempts' },
    ],
    scenario: { quick: waits.sharesAnEntry },
    found: 'order',
  },
  {
    name: 'a batch that is settled again leaves retries behind',
    patches: [
      { file: 'engine/settle/write.js', find: 'settling.again || delivery.inRetries', replace: 'delivery.inRetries' },
    ],
    scenario: { quick: waits.failsOnceAndLosesTheAnswer },
    found: 'what is processed waits no more',
  },
  {
    name: 'of a key that is due only the first is taken out',
    patches: [
      {
        file: 'engine/partition/keys.js',
        find: 'for (const delivery of key.deliveries) {',
        replace: 'for (const delivery of key.deliveries.slice(0, 1)) {',
      },
    ],
    scenario: { quick: waits.fails },
    found: 'unsettled',
  },
  {
    name: 'attempts never run out',
    patches: [{ file: 'core/classify.js', find: '|| attempts >= policy.attempts', replace: '' }],
    scenario: { quick: waits.failsToTheEnd },
    found: 'unsettled',
  },
  {
    name: 'a dead letter goes on waiting to be tried again',
    patches: [
      { file: 'engine/settle/write.js', find: '[...processed, ...failed].filter(', replace: '[...processed].filter(' },
    ],
    scenario: { quick: waits.failsToTheEnd },
    found: 'leftover',
  },
  {
    name: 'what operators replay is not taken up',
    patches: [
      { file: 'engine/lane/upkeep.js', find: 'await takeUpRetries(', replace: 'false && await takeUpRetries(' },
    ],
    scenario: { quick: handlers.isReplayed },
    found: 'leftover',
  },
]
