/** `step`: an event that the group *resetting* writes into its table. */
import { defineEvent, Type } from '@eventflow/sdk'

export default defineEvent({ type: 'step', schema: Type.Object({ n: Type.Integer() }) })
