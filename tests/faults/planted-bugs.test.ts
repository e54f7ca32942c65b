/** The suite's own test: bugs are planted in copies of the compiled pipeline, and each must be found and named rightly. */
import { BUGS } from './planted/index.js'
import { testBugs } from './planted/tests.js'

testBugs(
  'planted',
  BUGS.filter(({ telling }) => telling),
)
