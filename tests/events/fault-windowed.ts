/** `fault.windowed`: what the window `fault-tumbling` emits for each result. No client sends it, and it has no effects. */
import { defineEvent, Type } from '@eventflow/sdk'

export default defineEvent({
  type: 'fault.windowed',
  schema: Type.Object({
    key: Type.String(),
    start: Type.String(),
    end: Type.String(),
    count: Type.Integer(),
    sum: Type.Integer(),
  }),
})
