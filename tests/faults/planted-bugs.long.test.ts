/** Every planted bug, including those left out of the normal run; and the same scenarios without any bug. */
import { BUGS } from './planted/index.js'
import { testBugs, testWithoutBugs } from './planted/tests.js'

testWithoutBugs(BUGS)
testBugs('planted-long', BUGS)
