/** Bugs of the border with users' code. */
import * as handlers from '../quick/handlers.js'
import type { Bug } from './bug.js'

export const usersCode: readonly Bug[] = [
  {
    name: 'rules that answer anything but a list have found nothing',
    patches: [
      {
        file: 'worker/process.js',
        find: 'if (!Array.isArray(answer))\n        throw wrongAnswer(answer, EXPECTED_PROBLEMS);',
        replace: 'if (!Array.isArray(answer))\n        return [];',
      },
    ],
    scenario: { quick: handlers.answersTrue },
    found: 'it is dead',
    telling: true,
  },
  {
    name: 'a handler can change what its next run is given',
    patches: [
      {
        file: 'worker/process.js',
        find: 'if (runsUsersCode(definition))\n        freezeEvent(candidate.event);',
        replace: '',
      },
    ],
    scenario: { quick: handlers.changesItsData },
    found: 'effect of other data',
    telling: true,
  },
]
