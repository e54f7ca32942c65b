/** Every bug that is planted. */
import { accepting } from './accepting.js'
import type { Bug } from './bug.js'
import { catchingUp } from './catching-up.js'
import { ofGroups } from './groups.js'
import { ofJoins } from './joins.js'
import { ofTheLedger } from './ledger.js'
import { owning } from './owning.js'
import { reading } from './reading.js'
import { removing } from './removing.js'
import { settling } from './settling.js'
import { usersCode } from './users-code.js'
import { waiting } from './waiting.js'
import { ofWindows } from './windows.js'

export const BUGS: readonly Bug[] = [
  ...accepting,
  ...reading,
  ...catchingUp,
  ...settling,
  ...ofTheLedger,
  ...ofGroups,
  ...ofWindows,
  ...ofJoins,
  ...waiting,
  ...owning,
  ...usersCode,
  ...removing,
]
