/** Bugs in joins. */
import * as joins from '../quick/joins.js'
import type { Bug } from './bug.js'

export const ofJoins: readonly Bug[] = [
  {
    name: 'the end of the bounds is exclusive',
    patches: [{ file: 'core/joins/join.js', find: 'other.time <= to', replace: 'other.time < to' }],
    scenario: { quick: joins.reachesTheBound },
    found: 'join pair lost',
  },
  {
    name: 'an event no longer waits when the watermark is at its bound',
    patches: [{ file: 'core/joins/join.js', find: 'time + after + 1n', replace: 'time + after' }],
    scenario: { quick: joins.reachesTheBound },
    found: 'join pair lost',
  },
  {
    name: 'an event goes later than at its time',
    patches: [
      { file: 'db/windows/join-rows.js', find: 'r.expires_at <= p.watermark', replace: 'r.expires_at < p.watermark' },
    ],
    scenario: { quick: joins.passesTheBound },
    found: 'join alone lost',
  },
  {
    name: 'an event that has gone keeps its row',
    patches: [{ file: 'db/windows/join-rows.js', find: 'if (deleted.length > 0)', replace: 'if (deleted.length < 0)' }],
    scenario: { quick: joins.isJoined },
    found: 'join state wrong',
  },
  {
    name: 'that an event was joined is not written',
    patches: [
      {
        file: 'db/windows/join-rows.js',
        find: 'expires_at = new.expires_at, matched = new.matched',
        replace: 'expires_at = new.expires_at',
      },
    ],
    scenario: { quick: joins.isJoined },
    found: 'join emitted wrong',
  },
  {
    name: 'a late event is joined as well',
    patches: [
      {
        file: 'engine/joins/join.js',
        find: 'const step = joinEvent(known.rows, arrival, watermark, rules);',
        replace: `let step = joinEvent(known.rows, arrival, watermark, rules);
                  if (step === 'late') {
                    late.push({ delivery, time, watermark });
                    step = joinEvent(known.rows, arrival, undefined, rules);
                  }`,
      },
    ],
    scenario: { quick: joins.comesTooLate },
    found: 'join event misplaced',
  },
  {
    name: 'an event is joined with itself',
    patches: [{ file: 'core/joins/join.js', find: ' && other.seq !== seq', replace: '' }],
    scenario: { quick: joins.isJoined },
    found: 'join emitted wrong',
  },
  {
    name: 'an event is emitted alone when it comes',
    patches: [
      {
        file: 'core/joins/join.js',
        find: 'outputs: others.map(',
        replace: `outputs: isLeft && others.length === 0 ? [{ left: row.event, right: null }] : others.map(`,
      },
    ],
    scenario: { quick: joins.isJoined },
    found: 'join emitted wrong',
  },
  {
    name: 'the latest match is the first',
    patches: [{ file: 'core/joins/join.js', find: `rules.match === 'first' ? 0 : -1`, replace: '0' }],
    scenario: { quick: joins.isTheLatest },
    found: 'join emitted wrong',
  },
  {
    name: 'pairs are not published',
    patches: [
      {
        file: 'engine/groups/write-state.js',
        find: 'await announce(emitted.events, emitted.incarnation);',
        replace: ';',
      },
    ],
    scenario: { quick: joins.isJoined },
    found: 'what a join emits is published',
  },
  {
    name: 'an event that is alone goes in another transaction than it is emitted in',
    patches: [
      {
        file: 'engine/groups/state-upkeep.js',
        find: 'const loud = await loudOf(tx, results, generation, { stateful, partitions });',
        replace: `await tx.query('COMMIT');
                  await tx.query('BEGIN');
                  const loud = await loudOf(tx, results, generation, { stateful, partitions });`,
      },
    ],
    scenario: { quick: joins.isCutOffWhileItIsEmitted },
    found: 'join alone lost',
    telling: true,
  },
]
