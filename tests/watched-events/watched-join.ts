/** A join that has events to keep. Its bounds are narrow: it emits about as many events as it reads. */
import { defineEvent, defineJoin, Type } from '@eventflow/sdk'

export default [
  defineEvent({ type: 'watch.joined', schema: Type.Object({}) }),
  defineJoin({
    name: 'watched-join',
    left: 'fault.step',
    right: 'fault.step',
    within: { before: '0s', after: '100ms' },
    select: () => ({}),
    emit: 'watch.joined',
  }),
]
