/** `eventflow events get` and `list`. */
import type { EventSearch, ListedEvent, Operator, Page, WholeEvent } from '@eventflow/client'
import { oneLine } from '../table.js'
import { type ShowOptions, showList, showOne } from './show.js'

/** The size of a page of the service. */
const PAGE = 1_000

export interface ListOptions extends ShowOptions {
  limit: number
}

/** Prints one event with its history. Resolves with the exit code: 1 if there is none. */
export async function getEvent(
  operator: Operator,
  id: string,
  { source, ...options }: ShowOptions & { source?: string },
): Promise<number> {
  const missing = oneLine(
    `No event with the id ${id} ${sourceOf(source)}. To search by other fields: eventflow events list --help`,
  )
  return showOne(await operator.event(id, source), { missing, inWords: shown }, options)
}

/** Describes the source that was used in a lookup by id. */
export const sourceOf = (source: string | undefined) =>
  source === undefined ? 'from the source / (set another with --source)' : `from the source ${source}`

/** Prints the matching events, the last accepted first. Resolves with the exit code: 1 if there are none. */
export async function listEvents(
  operator: Operator,
  search: EventSearch,
  { limit, ...options }: ListOptions,
): Promise<number> {
  const { items, next } = await findEvents(operator, search, limit)
  if (items.length === 0) {
    options.note('No event matches.')
    return 1
  }
  showList(items, { heading: ['accepted', 'status', 'type', 'key', 'id', ''], rowOf }, options)
  if (next !== null) options.note(`There may be more: --limit ${limit * 10}`)
  return 0
}

/** Resolves with up to `limit` matching events, from as many pages as necessary. */
export async function findEvents(operator: Operator, search: EventSearch, limit: number): Promise<Page<ListedEvent>> {
  const items: ListedEvent[] = []
  let next: string | null = null
  do {
    const page = await operator.events(search, {
      limit: Math.min(PAGE, limit - items.length),
      cursor: next ?? undefined,
    })
    items.push(...page.items)
    next = page.next
  } while (next !== null && items.length < limit)
  return { items, next }
}

/** An event as a row: time, status, type, key, id, and the problem if there is one. */
function rowOf(event: ListedEvent): string[] {
  const { accepted_at, status, type, partitionkey, id, external_id, error_class, message } = event
  const wrong = error_class ? `${error_class}: ${message}` : ''
  return [accepted_at, status, type, partitionkey, external_id ?? id, wrong]
}

function shown(event: WholeEvent): string {
  const { id, external_id, type, partitionkey, correlationid, causationid, source, time, status, attempts } = event
  const facts: [string, string | undefined][] = [
    ['id', id],
    ['sent as', external_id],
    ['type', type],
    ['key', partitionkey],
    ['source', source],
    ['time', time],
    ['correlation', correlationid],
    ['caused by', causationid],
    ['status', `${status}, ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`],
    ['dead in', event.dead_in?.map(({ group }) => group).join(', ')],
  ]
  const told = facts.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(12)} ${oneLine(value)}`]))
  const steps = event.timeline.map(({ at, what, detail }) => `  ${at}  ${what}${detail ? `: ${oneLine(detail)}` : ''}`)
  const data = [`data   ${JSON.stringify(event.data)}`, event.result && `result ${JSON.stringify(event.result)}`]
  return [...told, '', ...steps, '', ...data.filter(Boolean)].join('\n')
}
