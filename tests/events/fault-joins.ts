/**
 * The joins of the fault tests. The checker has their bounds in its own words, in `kit/src/history/fault-joins.ts`.
 *
 * FAULT_WINDOWS is their version, as that of the windows. With FAULT_JOINS_AGAIN there is each a second time, under
 * another name: it joins the whole log again, and emits events of its own.
 */
import { defineJoin, type JoinDefinition } from '@eventflow/sdk'
import type { StepEvent } from './_step.js'

const version = Number(process.env.FAULT_WINDOWS ?? 0)

const select = (left: StepEvent | null, right: StepEvent | null) => ({
  left: left?.id ?? null,
  right: right?.id ?? null,
  sum: (left?.data.n ?? 0) + (right?.data.n ?? 0),
})

type Given = Omit<JoinDefinition, 'name' | 'emit' | 'select'>

const given = (again: string, name: string, definition: Given) =>
  defineJoin({
    ...definition,
    version,
    from: 'earliest',
    name: `fault-${name}${again}`,
    emit: `fault.${name}${again}`,
    select,
  })

const joins = (again = '') => [
  // An event that is alone is emitted, and no event is joined with itself.
  given(again, 'joined-self', {
    ...{ left: 'fault.leading', right: 'fault.leading', kind: 'left' },
    within: { before: '500ms', after: '2s' },
    time: { outOfOrderness: '1s', idle: '1s' },
  }),
  // The right event comes later, and happened at the same time: it is late if the pipeline is slow.
  given(again, 'joined-left', {
    ...{ left: 'fault.leading', right: 'fault.derived', kind: 'left' },
    within: { before: '0s', after: '1s' },
    time: { outOfOrderness: '2s', idle: '1s' },
  }),
  given(again, 'joined-latest', {
    ...{ left: 'fault.leading', right: 'fault.handled', kind: 'outer', match: 'latest', late: 'dead-letter' },
    time: { outOfOrderness: '1s', idle: '1s' },
  }),
]

export default version === 0 ? [] : [...joins(), ...(process.env.FAULT_JOINS_AGAIN ? joins('-again') : [])]
