/** How a look-up names an event: by its id or, with its source, by the producer's. */
import { DEFAULT_SOURCE, eventIdOf, isUuid } from '@eventflow/core'
import { type Db, findIdOfSource } from '@eventflow/db'
import { Type } from '@sinclair/typebox'

/** The parameter of a look-up. */
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
 * The event ids that may be meant, the likelier one first. A UUID may be the event's own, also with its source: as an answer
 * gave it, or of an event that was accepted when the source did not count yet.
 */
export function possibleIds({ tenantId, id, source = DEFAULT_SOURCE }: EventName): string[] {
  const eventId = eventIdOf(tenantId, source, id)
  return isUuid(id) ? [...new Set([eventId, id.toLowerCase()])] : [eventId]
}

/** The id of the event that is meant, if it may be there. */
export async function findEventId(db: Db, name: EventName): Promise<string | undefined> {
  const ids = possibleIds(name)
  // A text's id is made from its source; without a source, a UUID means the event that has it.
  if (name.source === undefined || !isUuid(name.id)) return ids[0]
  return findIdOfSource(db, name.tenantId, ids, name.source)
}

/** Says that there is no such event. */
export function describeAbsence({ id, source }: EventName, what: 'was accepted' | 'has failed'): string {
  return source === undefined
    ? `No event with the id ${id} ${what}; for an event sent with a source, add ?source=`
    : `No event with the id ${id} and the source ${source} ${what}`
}
