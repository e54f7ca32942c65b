/** Filters as they are sent: which events a request is about. */
import { readTime } from '@eventflow/core'
import type { EventFilter } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import { RequestError } from '../http/problem.js'

const Text = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 200, description }))
const Time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }))

/** The parts that are a text each, so that a query string can have them; `happened` is what `from` and `to` are about. */
export const filterTexts = (happened: string) => ({
  type: Text('Event type'),
  key: Text('The ordering key'),
  from: Time(`${happened} at this time or later`),
  to: Time(`${happened} before this time`),
})

/** Of dead letters only. */
export const ErrorClass = Text('Class of the error that the event failed with')

export const EventIds = Type.Optional(
  Type.Array(Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' }), {
    minItems: 1,
    maxItems: 1_000,
    description: 'Event ids, as in lists',
  }),
)

/** What the schemas above let through. */
export interface SentFilter {
  ids?: string[]
  type?: string
  key?: string
  error_class?: string
  from?: string
  to?: string
}

/** The filter as it is kept; `pointer` is where it was in a body. Throws RequestError that points at a moment that is none. */
export function readFilter({ ids, type, key, error_class, from, to }: SentFilter, pointer = ''): EventFilter {
  return {
    ...(ids !== undefined && { ids }),
    ...(type !== undefined && { type }),
    ...(key !== undefined && { key }),
    ...(error_class !== undefined && { errorClass: error_class }),
    ...(from !== undefined && { from: readMoment(from, pointer, '/from') }),
    ...(to !== undefined && { to: readMoment(to, pointer, '/to') }),
  }
}

/** The filter as it was sent. */
export function describeFilter({ errorClass, ...rest }: EventFilter): SentFilter {
  return { ...rest, ...(errorClass !== undefined && { error_class: errorClass }) }
}

function readMoment(text: string, filter: string, name: string): string {
  const { time, fault } = readTime(text)
  if (time !== undefined) return time
  const pointer = filter + name
  const message = filter === '' && / \d\d:\d\d$/.test(text) ? `${fault}; in a URL, write + as %2B` : fault
  throw new RequestError('invalid-query', `${pointer} ${message}`, [{ pointer, message }])
}
