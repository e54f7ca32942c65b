/**
 * `fault.handled`: its functions misbehave by the mood of the event, usually its handler. It writes to the same keys as
 * `fault.step`.
 */
import { defineEvent, type EnrichContext } from '@eventflow/sdk'
import { ENRICHER_MOODS, HANDLER_MOODS, RULES_MOODS } from './_handler-moods.js'
import { Step, type StepEvent, writeEffects } from './_step.js'

export default defineEvent({
  type: 'fault.handled',
  schema: Step,
  key: ({ key }) => key,
  retry: { attempts: 2, baseDelayMs: 200 },
  enrich: [
    {
      name: 'handled',
      enrich: (events: readonly StepEvent[], _: EnrichContext) => {
        const moods = events.flatMap(({ data: { mood = '' } }) => ENRICHER_MOODS[mood] ?? [])
        const [answer = () => Promise.resolve(events.map(() => ({})))] = moods
        return answer() as Promise<object[]>
      },
    },
  ],
  validate: ({ data: { mood = '' } }) => (RULES_MOODS[mood]?.() ?? []) as [],
  handle: async (event, tx) => {
    await writeEffects([event], tx)
    await HANDLER_MOODS[event.data.mood ?? '']?.(event, tx)
  },
})
