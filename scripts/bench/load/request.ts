/** Prebuilt requests that are sent often: only their ids and users are rewritten. */
import { newId, orderOf, randomUser } from './order-events.js'

export interface RequestKind {
  /** The type of the events. */
  type: string
  /** 1 sends single events to /v1/events, more sends batches. */
  batch: number
  ndjson: boolean
  users: number
  /** The API key of each request, if any. */
  key?: string
}

const ID = '00000000-0000-0000-0000-000000000000'
const USER = 'u-00000000'

/** Returns a function that makes the next request, always in the same memory: the last one must have been answered. */
export function prepareRequest({ type, batch, ndjson, users, key }: RequestKind): () => Buffer {
  const event = JSON.stringify({ type, id: ID, data: orderOf(USER) })
  const events = Array.from({ length: batch }, () => event)
  const body = ndjson ? events.join('\n') : batch === 1 ? event : `[${events.join(',')}]`
  const head = [
    `POST ${batch === 1 ? '/v1/events' : '/v1/events/batch'} HTTP/1.1`,
    'host: 127.0.0.1',
    ...(key === undefined ? [] : [`authorization: Bearer ${key}`]),
    `content-type: application/${ndjson ? 'x-ndjson' : 'json'}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ].join('\r\n')
  const request = Buffer.from(`${head}\r\n\r\n${body}`)
  const ids = placesOf(request, ID)
  const userPlaces = placesOf(request, USER)
  return () => {
    for (const place of ids) request.write(newId(), place, 'latin1')
    for (const place of userPlaces) request.write(randomUser(users), place, 'latin1')
    return request
  }
}

function placesOf(request: Buffer, text: string): number[] {
  const places: number[] = []
  for (let at = request.indexOf(text); at >= 0; at = request.indexOf(text, at + text.length)) places.push(at)
  return places
}
