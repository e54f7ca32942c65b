/** `group.step`: an event that its consumer group may die of. */
import { defineEvent, Type } from '@eventflow/sdk'

export default defineEvent({
  type: 'group.step',
  schema: Type.Object({ n: Type.Integer(), mood: Type.Optional(Type.String()) }),
})
