/** Every bug that is planted, also those that are not in every run of the tests. */
import { BUGS } from './planted/index.js'
import { testBugs } from './planted/tests.js'

testBugs('planted-long', BUGS)
