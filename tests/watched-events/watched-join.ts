/** A join that has events to keep: each step waits for those of its key in the next ten seconds. */
import { defineEvent, defineJoin, Type } from '@eventflow/sdk'

export default [
  defineEvent({ type: 'watch.joined', schema: Type.Object({}) }),
  defineJoin({
    name: 'watched-join',
    left: 'fault.step',
    right: 'fault.step',
    within: { before: '0s', after: '10s' },
    select: () => ({}),
    emit: 'watch.joined',
  }),
]
