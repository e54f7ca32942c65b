/**
 * The windows of the fault tests: one of each kind. The checker has their bounds in its own words, in
 * `kit/src/history/fault-windows.ts`.
 *
 * FAULT_WINDOWS is their version. Without it there are none: then nothing has to wait until they are closed.
 */
import { count, defineWindow, hopping, session, sum, tumbling } from '@eventflow/sdk'
import type { StepEvent } from './_step.js'

const version = Number(process.env.FAULT_WINDOWS ?? 0)

const aggregate = { count: count(), sum: sum(({ data }: StepEvent) => data.n) }

const windows = () => [
  defineWindow({
    ...{ name: 'fault-tumbling', version, on: ['fault.leading'], from: 'earliest', aggregate },
    window: tumbling('2s'),
    time: { outOfOrderness: '1s', idle: '1s' },
    emit: 'fault.windowed',
  }),
  defineWindow({
    ...{ name: 'fault-hopping', version, on: ['fault.step'], from: 'earliest', aggregate },
    window: hopping('10s', { every: '5s' }),
    time: { outOfOrderness: '2s', idle: '1s' },
  }),
  defineWindow({
    ...{ name: 'fault-session', version, on: ['fault.handled', 'fault.derived'], from: 'earliest', aggregate },
    window: session({ gap: '1s' }),
    time: { outOfOrderness: '1s', idle: '1s' },
    late: 'dead-letter',
  }),
]

export default version === 0 ? [] : windows()
