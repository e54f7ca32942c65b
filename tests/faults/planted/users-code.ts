/** Bugs at the boundary to users' code. */
import * as handlers from '../quick/handlers.js'
import type { Bug } from './bug.js'

export const usersCode: readonly Bug[] = [
  {
    name: 'rules that answer anything but a list have found nothing',
    patches: [
      {
        file: 'engine/process/process.js',
        find: 'if (!Array.isArray(answer))\n        throw wrongAnswer(answer, EXPECTED_PROBLEMS);',
        replace: 'if (!Array.isArray(answer))\n        return [];',
      },
    ],
    scenario: { quick: handlers.answersTrue },
    found: 'it is dead',
  },
  {
    name: 'a handler can change what its next run is given',
    patches: [
      { file: 'engine/process/process.js', find: '        freezeData(candidate.event);', replace: '        ;' },
      {
        file: 'engine/process/enrich.js',
        find: 'Object.assign({}, event.data, addition)',
        replace: 'Object.assign(event.data, addition)',
      },
      { file: 'core/plain-data.js', find: 'Object.freeze(event.data);', replace: '' },
      { file: 'engine/settle/write.js', find: 'data: Object.freeze(data)', replace: 'data' },
    ],
    scenario: { quick: handlers.changesItsData },
    found: 'effect of other data',
  },
  {
    name: 'an error is taken for one of our connection by its shape',
    patches: [
      {
        file: 'engine/settle/handler-failure.js',
        find: 'const kind = sqlErrorKind(use.error);',
        replace: 'const kind = sqlErrorKind(use.error ?? thrown?.error);',
      },
      { file: 'engine/settle/settle.js', find: 'excusable && excused < BLAME_AFTER', replace: 'excusable' },
    ],
    scenario: { quick: handlers.namesTheNetwork },
    found: 'unsettled',
  },
  {
    name: 'a handler is excused for ever for what its statements meet',
    patches: [{ file: 'engine/settle/settle.js', find: 'excusable && excused < BLAME_AFTER', replace: 'excusable' }],
    scenario: { quick: handlers.conflicts },
    found: 'unsettled',
  },
  {
    name: 'a handler may use its transaction when it is over',
    patches: [
      { file: 'db/server/lent-transaction.js', find: 'if (isOver)\n            throw new Error(late);', replace: '' },
    ],
    scenario: { quick: handlers.writesLate },
    found: 'effect twice',
    telling: true,
  },
  {
    name: 'a handler may swallow an error that has ended its transaction',
    patches: [
      {
        file: 'engine/settle/handler-failure.js',
        find: 'if (use.error === undefined)\n        return undefined;',
        replace: 'return undefined;',
      },
    ],
    scenario: { quick: handlers.swallowsAnError },
    found: 'its dead letter says why',
  },
  {
    name: 'a handler may end its transaction',
    patches: [
      {
        file: 'db/server/lent-transaction.js',
        find: 'const refusal = refusalOf(text);',
        replace: 'const refusal = undefined;',
      },
      {
        file: 'db/server/lent-transaction.js',
        find: "if (use.pending === 0 && tx.getTransactionStatus() === 'I')",
        replace: 'if (false)',
      },
    ],
    scenario: { quick: handlers.rollsBack },
    found: 'it is dead',
  },
  {
    name: 'a statement that is not awaited is passed over',
    patches: [
      {
        file: 'engine/settle/handler-failure.js',
        find: 'if (use.pending > 0)\n        return says(MISSING_AWAIT',
        replace: 'if (false)\n        return says(MISSING_AWAIT',
      },
      { file: 'engine/settle/effects.js', find: 'if (use.pending > 0)', replace: 'if (false)' },
    ],
    scenario: { quick: handlers.forgetsAnAwait },
    found: 'it is dead',
  },
  {
    name: 'what an enricher promises is not waited for',
    patches: [
      {
        file: 'engine/process/enrich.js',
        find: 'if (!items.some(isPromiseLike))\n        return items.map(read);',
        replace: 'items.forEach((item) => item?.catch?.(() => {}));\n    return items.map(() => ({ value: {} }));',
      },
    ],
    scenario: { quick: handlers.rejectsLater },
    found: 'it is dead',
  },
  {
    name: 'what a batch has done counts, and not what is true when it is settled again',
    patches: [
      {
        file: 'db/ledger/settle.js',
        find: 'SELECT seq FROM processed_events WHERE seq = settled.seq OFFSET 0 FOR KEY SHARE',
        replace: 'SELECT settled.seq',
      },
    ],
    scenario: { quick: handlers.isReplayedWhileSettledAgain },
    found: 'unsettled',
  },
]
