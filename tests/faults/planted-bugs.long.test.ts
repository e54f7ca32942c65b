/** Every bug that is planted, also those that are not in every run of the tests; and what they are found by, without any bug. */
import { BUGS } from './planted/index.js'
import { testBugs, testWithoutBugs } from './planted/tests.js'

testWithoutBugs(BUGS)
testBugs('planted-long', BUGS)
