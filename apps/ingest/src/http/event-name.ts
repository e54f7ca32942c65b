/** How a lookup names an event: by its id or, with its source, by the producer's id. */
import { DEFAULT_SOURCE, eventIdOf, isUuid } from '@eventflow/core'
import { type Db, findIdOfSource } from '@eventflow/db'
import { Type } from '@sinclair/typebox'

/** The parameter of a lookup. */
export const Source = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 200,
    description: 'The source of the event, if the id is its producer’s; / by default',
  }),
)

export interface EventName {
  tenantId: string
  id: string
  source: string | undefined
}

/**
 * Returns the possible event ids, the more likely one first. A UUID may be the event's own id even with a source: taken
 * from an answer, or from before ids depended on the source.
 */
export function possibleIds({ tenantId, id, source = DEFAULT_SOURCE }: EventName): string[] {
  const eventId = eventIdOf(tenantId, source, id)
  return isUuid(id) ? [...new Set([eventId, id.toLowerCase()])] : [eventId]
}

/** Resolves with the id of the named event, if it may exist. */
export async function findEventId(db: Db, name: EventName): Promise<string | undefined> {
  const ids = possibleIds(name)
  // The id of a text depends on its source; a UUID without a source is the event's id.
  if (name.source === undefined || !isUuid(name.id)) return ids[0]
  return findIdOfSource(db, name.tenantId, ids, name.source)
}

/** The message that there is no such event. */
export function describeAbsence({ id, source }: EventName, what: 'was accepted' | 'has failed'): string {
  return source === undefined
    ? `No event with the id ${id} ${what}; for an event sent with a source, add ?source=`
    : `No event with the id ${id} and the source ${source} ${what}`
}
