/** Filters of events, as requests contain them. */
import { readTime } from '@eventflow/core'
import type { EventFilter } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import { RequestError } from '../http/problem.js'

const Text = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 200, description }))
const Time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }))

/**
 * The fields that are single texts, so that a query string can contain them; `happened` says to which time `from` and
 * `to` apply.
 */
export const filterTexts = (happened: string) => ({
  type: Text('Event type'),
  key: Text('The ordering key'),
  from: Time(`${happened} at this time or later`),
  to: Time(`${happened} before this time`),
})

/** For dead letters only. */
export const ErrorClass = Text('Class of the error that the event failed with')

export const EventIds = Type.Optional(
  Type.Array(Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' }), {
    minItems: 1,
    maxItems: 1_000,
    description: 'Event ids, as in lists',
  }),
)

/** A filter that matches the schemas above. */
export interface SentFilter {
  ids?: string[]
  type?: string
  key?: string
  error_class?: string
  from?: string
  to?: string
}

/**
 * Converts a filter to its internal form; `pointer` is its place in the body. Throws RequestError that points at an
 * invalid time.
 */
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

/** Converts a filter back to the form of the request. */
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
