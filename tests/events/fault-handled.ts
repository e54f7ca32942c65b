/** `fault.handled`: its handler does what it should not, by the mood of the event. It writes to the same keys as `fault.step`. */
import { defineEvent } from '@eventflow/pipeline'
import { HANDLER_MOODS } from './_handler-moods.js'
import { Step, writeEffects } from './_step.js'

export default defineEvent({
  type: 'fault.handled',
  schema: Step,
  key: ({ key }) => key,
  retry: { attempts: 2, baseDelayMs: 200 },
  handle: async (event, tx) => {
    await writeEffects([event], tx)
    await HANDLER_MOODS[event.data.mood!]!(event, tx)
  },
})
