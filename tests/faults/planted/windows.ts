/** Bugs in windows. */
import * as windows from '../quick/windows.js'
import type { Bug } from './bug.js'

export const ofWindows: readonly Bug[] = [
  {
    name: 'the watermark is not written',
    patches: [{ file: 'engine/groups/passing.js', find: 'if (rows.length > 0)', replace: 'if (rows.length < 0)' }],
    scenario: { quick: windows.closesAcrossARestart },
    found: 'window watermark',
    telling: true,
  },
  {
    name: 'the events of a batch meet the watermark of the last one',
    patches: [
      {
        file: 'engine/groups/write-state.js',
        find: 'await stateful.apply(tx, meet(due, passing), generation)',
        replace:
          'await stateful.apply(tx, meet(due, passing).map((one, _, all) => ({ ...one, watermark: all.at(-1).watermark })), generation)',
      },
    ],
    scenario: { quick: windows.judgesEachEvent },
    found: 'window late event wrong',
    telling: true,
  },
  {
    name: 'a late event is counted as well',
    patches: [
      {
        file: 'engine/windows/fixed.js',
        find: 'const open = windows.firstOpen(pane, one.watermark);',
        replace: `let open = windows.firstOpen(pane, one.watermark);
                  if (!open) {
                    late.push(one);
                    open = windows.windowsOf(pane).at(-1);
                  }`,
      },
    ],
    scenario: { quick: windows.judgesEachEvent },
    found: 'window result wrong',
  },
  {
    name: 'a window closes when the watermark is beyond its end',
    patches: [
      { file: 'db/windows/window-state.js', find: 's.close_at <= p.watermark', replace: 's.close_at < p.watermark' },
    ],
    scenario: { quick: windows.reachesTheEnd },
    found: 'window result lost',
  },
  {
    name: 'a window that has closed keeps its state',
    patches: [{ file: 'engine/windows/fixed.js', find: 'await deletePanes(tx, generation, [...gone]);', replace: ';' }],
    scenario: { quick: windows.reachesTheEnd },
    found: 'window state wrong',
  },
  {
    name: 'what the watermark has passed is forgotten with its owner',
    patches: [
      {
        file: 'engine/groups/marked-pages.js',
        find: 'passed.set(tenantId, time.at)',
        replace: 'passed.delete(tenantId)',
      },
    ],
    scenario: { quick: windows.isCutOffWhileItCloses },
    found: 'window result lost',
  },
  {
    name: 'a batch of a window is counted wherever the cursor is',
    patches: [
      {
        file: 'db/groups/cursors.js',
        find: 'USING (partition, epoch, position)',
        replace: 'USING (partition, epoch)',
      },
    ],
    scenario: { quick: windows.isCountedAgain },
    found: 'window state wrong',
  },
  {
    name: 'the state of a window is replaced by that of the batch',
    patches: [
      {
        file: 'engine/windows/fold.js',
        find: 'before ? aggregation.merge(before.state, state) : state',
        replace: 'state',
      },
    ],
    scenario: { quick: windows.countsOnAndOn },
    found: 'window state wrong',
  },
  {
    name: 'marks of the log are ignored',
    patches: [
      {
        file: 'engine/groups/marked-pages.js',
        find: 'deliveriesWithMarks(page, marks)',
        replace: 'deliveriesWithMarks(page, [])',
      },
    ],
    scenario: { quick: windows.waitsForAWindow },
    found: 'window watermark',
  },
  {
    name: 'a hold ends before the event that waits',
    patches: [
      {
        file: 'engine/partition/holds.js',
        find: 'if (at === undefined || at > held)',
        replace: 'if (true)',
      },
      {
        file: 'engine/partition/holds.js',
        find: 'raised.push({ tenantId, at });',
        replace: 'raised.push({ tenantId });',
      },
    ],
    scenario: { quick: windows.waitsForAWindow },
    found: 'an event that has waited is not late',
  },
  {
    name: 'a tick counts at once',
    patches: [
      { file: 'engine/groups/event-time.js', find: 'mark.at - quietSince < idle', replace: 'idle === undefined' },
    ],
    scenario: { quick: windows.ticksTooSoon },
    found: 'window watermark',
  },
  {
    name: 'a cursor passes marks before their time is written',
    patches: [
      {
        file: 'engine/groups/group-work.js',
        find: 'read > saved && state.marks.length === 0',
        replace: 'read > saved',
      },
    ],
    scenario: { quick: windows.losesAMark },
    found: 'window watermark',
  },
  {
    name: 'sessions that were connected stay',
    patches: [{ file: 'engine/windows/sessions.js', find: 'await deletePanes(tx, generation, gone);', replace: ';' }],
    scenario: { quick: windows.bridgesSessions },
    found: 'window state wrong',
  },
  {
    name: 'a clock that is ahead lets windows close',
    patches: [
      {
        file: 'core/windows/watermark.js',
        find: 'return earlier(entry.occurred, entry.accepted);',
        replace: 'return entry.occurred;',
      },
    ],
    scenario: { quick: windows.isAhead },
    found: 'window watermark',
  },
  {
    name: 'results are not published',
    patches: [
      {
        file: 'engine/groups/state-upkeep.js',
        find: 'await announce(emitted.events, emitted.incarnation);',
        replace: ';',
      },
    ],
    scenario: { quick: windows.emitsAResult },
    found: 'what a window emits is published',
  },
  {
    name: 'a new version emits results again',
    patches: [{ file: 'engine/groups/results.js', find: '<= state.silentUntil', replace: '< 0' }],
    scenario: { quick: windows.isBuiltAnew },
    found: 'window emitted twice',
    telling: true,
  },
  {
    name: 'a new version does not look what the former one has left open',
    patches: [{ file: 'engine/groups/results.js', find: 'silent.length > 0 ? ', replace: 'silent.length < 0 ? ' }],
    scenario: { quick: windows.isReplacedBeforeItCloses },
    found: 'window emitted lost',
  },
]
