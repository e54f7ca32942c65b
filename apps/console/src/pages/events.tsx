/** Search for events. */
import type { ListedEvent, Page } from '@eventflow/client'
import { useEffect, useState } from 'preact/hooks'
import { EVENT_STATUSES, type EventType } from '../answers.js'
import { type ApiError, get, type Params, queryOf } from '../api.js'
import { readForm } from '../form.js'
import { duration, fromLocalTime, localTime, quoted, shellWord, shortId } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same, Time } from '../parts/basics.js'
import { Clamped, number, Table } from '../parts/table.js'
import { go, href, route } from '../route.js'
import { useGet } from '../use-get.js'

const FIELDS = ['id', 'correlation_id', 'key', 'type', 'status', 'from', 'to']

export function EventsPage() {
  const { params } = route.value
  const filter = Object.fromEntries(FIELDS.map((name) => [name, params[name]])) as Params
  return (
    <>
      <Heading>Events</Heading>
      <Filter filter={filter} />
      <Found filter={filter} key={queryOf(filter)} />
      <Same sql={sqlOf(filter)} cli={cliOf(filter)} http={`/v1/events${queryOf(filter)}`} />
    </>
  )
}

function Filter({ filter }: { filter: Params }) {
  const { answer: types } = useGet<Page<EventType>>('v1/event-types')
  const submit = (event: SubmitEvent) => {
    const { text } = readForm(event)
    const words = text('words')
    go(['events'], {
      [text('in')]: words,
      type: text('type'),
      status: text('status'),
      from: fromLocalTime(text('from')),
      to: fromLocalTime(text('to')),
    })
  }
  const kind = ['id', 'correlation_id', 'key'].find((name) => filter[name]) ?? 'id'
  return (
    <form class="filter" onSubmit={submit} key={queryOf(filter)}>
      <div class="joined">
        <label class="unseen" for="in">
          Search by
        </label>
        <select id="in" name="in">
          {[
            ['id', 'Id'],
            ['correlation_id', 'Correlation id'],
            ['key', 'Key'],
          ].map(([name, label]) => (
            <option value={name} selected={name === kind} key={name}>
              {label}
            </option>
          ))}
        </select>
        <label class="unseen" for="search">
          Search for
        </label>
        <input
          id="search"
          name="words"
          type="search"
          defaultValue={filter[kind] ?? ''}
          placeholder="press / to search"
        />
      </div>
      <label>
        Type
        <select name="type">
          <option value="">any</option>
          {types?.items.map(({ type }) => (
            <option value={type} selected={type === filter.type} key={type}>
              {type}
            </option>
          ))}
        </select>
      </label>
      <label>
        Status
        <select name="status">
          <option value="">any</option>
          {EVENT_STATUSES.map((status) => (
            <option value={status} selected={status === filter.status} key={status}>
              {status}
            </option>
          ))}
        </select>
      </label>
      <label>
        From
        <input name="from" type="datetime-local" step="1" defaultValue={localTime(filter.from)} />
      </label>
      <label>
        To
        <input name="to" type="datetime-local" step="1" defaultValue={localTime(filter.to)} />
      </label>
      <div class="buttons">
        <button type="submit" class="main">
          Search
        </button>
        <a class="button quiet" href={href(['events'])}>
          Clear
        </a>
      </div>
    </form>
  )
}

function Found({ filter }: { filter: Params }) {
  const [items, setItems] = useState<ListedEvent[]>([])
  const [next, setNext] = useState<string | null>()
  const [loading, setLoading] = useState(true)
  const [error, setError] = useState<ApiError>()

  const load = async (cursor?: string) => {
    setLoading(true)
    setError(undefined)
    try {
      const page = await get<Page<ListedEvent>>('v1/events', { ...filter, cursor })
      setItems((before) => (cursor ? [...before, ...page.items] : page.items))
      setNext(page.next)
    } catch (problem) {
      setError(problem as ApiError)
    }
    setLoading(false)
  }
  useEffect(() => void load(), [])

  return (
    <section aria-label="Search results" aria-busy={loading}>
      <Problem error={error} />
      {items.length > 0 && <EventTable events={items} />}
      {!loading && !error && items.length === 0 && (
        <Nothing>
          {next ? 'No match among the newest events; there are older ones.' : 'No event matches.'}{' '}
          {Object.values(filter).some(Boolean) ? (
            <a href={href(['events'])}>Show all</a>
          ) : (
            <a href={href(['send'])}>Send an event</a>
          )}
        </Nothing>
      )}
      <div class="buttons">
        {next && (
          <button type="button" onClick={() => load(next)} disabled={loading}>
            {loading ? 'Loading…' : 'Load older'}
          </button>
        )}
        <button type="button" class="quiet" onClick={() => load()} disabled={loading}>
          {loading && !next ? 'Loading…' : 'Refresh'}
        </button>
      </div>
    </section>
  )
}

function EventTable({ events }: { events: readonly ListedEvent[] }) {
  return (
    <Table label="Events" columns={['Accepted', 'Status', 'Type', 'Key', 'Id', number('Took'), 'Error']} links>
      {events.map((event) => (
        <tr key={event.id}>
          <td>
            <a class="row" href={href(['events', event.id])}>
              <Time at={event.accepted_at} />
            </a>
          </td>
          <td>
            <Badge of={event.status} />
          </td>
          <td class="cut" title={event.type}>
            {event.type}
          </td>
          <td class="cut" title={event.partitionkey}>
            {event.partitionkey === event.id ? '–' : event.partitionkey}
          </td>
          <td class="cut" title={event.external_id ?? event.id}>
            <code>{event.external_id ?? `…${shortId(event.id)}`}</code>
          </td>
          <td class="number">
            {event.settled_at && duration((Date.parse(event.settled_at) - Date.parse(event.accepted_at)) / 1_000)}
          </td>
          <td class="wide">{event.message && <Clamped text={`${event.error_class}: ${event.message}`} />}</td>
        </tr>
      ))}
    </Table>
  )
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

function sqlOf({ id, correlation_id, key, type, status, from, to }: Params): string {
  const conditions = [
    `tenant_id = 'default'`,
    id && `${UUID.test(id) ? 'event_id' : 'external_id'} = ${quoted(id)}`,
    correlation_id && `correlation_id = ${quoted(correlation_id)}`,
    key && `key = ${quoted(key)}`,
    type && `type = ${quoted(type)}`,
    status && `status = ${quoted(status)}`,
    from && `accepted_at >= ${quoted(from)}`,
    to && `accepted_at < ${quoted(to)}`,
  ].filter(Boolean)
  return `SELECT accepted_at, status, type, key, event_id, processed_at - accepted_at AS took\nFROM events WHERE ${conditions.join('\n  AND ')}\nORDER BY seq DESC LIMIT 50;`
}

/** Names that differ on the command line. */
const OPTIONS: Record<string, string> = { from: 'since', to: 'until' }

function cliOf({ id, correlation_id, ...rest }: Params): string {
  if (id) return `eventflow events get ${shellWord(id)}`
  if (correlation_id) return `eventflow events trace ${shellWord(correlation_id)}`
  const options = Object.entries(rest).flatMap(([name, value]) =>
    value ? [`--${OPTIONS[name] ?? name} ${shellWord(value)}`] : [],
  )
  return ['eventflow events list', ...options].join(' ')
}
