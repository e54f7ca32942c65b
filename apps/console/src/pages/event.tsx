/** One event: its data, its timeline, its causes and effects. */
import type { ListedEvent, Page, WholeEvent } from '@eventflow/client'
import { Fragment } from 'preact'
import type { EventType, Json } from '../answers.js'
import { type Branch, namesOf, treeOf } from '../causes.js'
import { count, duration, quoted, shellWord, time } from '../format.js'
import { moment } from '../live.js'
import { DiscardButton, ReplayButton, SendAgainButton, SkipButton } from '../parts/actions.js'
import { Badge, Copy, Heading, Nothing, Problem, Same } from '../parts/basics.js'
import { useFirstOf } from '../parts/first-of.js'
import { Payload } from '../parts/json.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

/** How often an unsettled event is read, in milliseconds. */
const FOLLOW_MS = 1_000

/** How often related events are read: new ones may still arrive. */
const RELATED_MS = 3_000

export function EventPage({ id }: { id: string }) {
  const first = useGet<WholeEvent>(`v1/events/${encodeURIComponent(id)}`)
  const moving = first.answer && ['accepted', 'retrying'].includes(first.answer.status)
  const followed = useGet<WholeEvent>(moving ? `v1/events/${encodeURIComponent(id)}` : '', FOLLOW_MS)
  const event = followed.answer ?? first.answer
  const { answer: types } = useGet<Page<EventType>>('v1/event-types')
  const again = () => {
    first.again()
    followed.again()
  }
  if (!event) {
    return (
      <>
        <Heading>Event</Heading>
        <Problem error={first.error} />
        {!first.error && <Nothing>Loading…</Nothing>}
        {first.error && <a href={href(['events'])}>Search for events</a>}
      </>
    )
  }
  const type = types?.items.find(({ type }) => type === event.type)
  const sensitive = type?.sensitive ?? []
  return (
    <>
      <Heading aside={<Actions event={event} again={again} />}>
        {event.type} <Badge of={event.status} />
      </Heading>
      <Facts event={event} />
      {event.failure && <Failure failure={event.failure} />}
      {event.dead_in?.map((dead) => (
        <DeadIn dead={dead} key={dead.group} />
      ))}
      <Timeline event={event} />
      <Payload title="Data" value={event.data as Json} sensitive={sensitive} />
      {event.result !== undefined && <Payload title="Result" value={event.result as Json} sensitive={sensitive} />}
      <Related event={event} />
      <Same
        sql={`SELECT * FROM events WHERE tenant_id = 'default' AND event_id = ${quoted(event.id)};`}
        cli={`eventflow events get ${event.id}\neventflow events trace ${shellWord(event.correlationid)}`}
        http={`/v1/events/${event.id}`}
      />
    </>
  )
}

function Actions({ event, again }: { event: WholeEvent; again: () => void }) {
  if (event.status === 'retrying') return <SkipButton id={event.id} done={again} />
  if (event.status !== 'failed') return null
  const filter = { ids: [event.id] }
  return (
    <>
      <ReplayButton filter={filter} done={again} type={event.type} />
      <SendAgainButton event={event} done={again} />
      <DiscardButton filter={filter} done={again} />
    </>
  )
}

function Facts({ event }: { event: WholeEvent }) {
  const owner = moment.value?.partitions.find(({ partition }) => partition === event.partition)?.owner
  return (
    <dl class="facts">
      <dt>Id</dt>
      <dd>
        <code>{event.id}</code> <Copy text={event.id} />
      </dd>
      {event.external_id && (
        <>
          <dt>Producer’s id</dt>
          <dd>
            <code>{event.external_id}</code>
          </dd>
        </>
      )}
      <dt>Schema</dt>
      <dd>
        <a href={href(['schemas', event.type])}>{event.type}</a>
      </dd>
      {Object.entries(event.extensions ?? {}).map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{`${value}`}</dd>
        </Fragment>
      ))}
      <dt>Source</dt>
      <dd>{event.source}</dd>
      <dt>Time</dt>
      <dd>{new Date(event.time).toLocaleString('en-GB')}</dd>
      <dt>Key</dt>
      <dd>
        {event.partitionkey === event.id ? (
          'none'
        ) : (
          <a href={href(['events'], { key: event.partitionkey })}>{event.partitionkey}</a>
        )}
        , partition {event.partition}
        {owner && `, owned by ${owner}`}
      </dd>
      <dt>Correlation</dt>
      <dd>
        <a href={href(['events'], { correlation_id: event.correlationid })}>
          <code>{event.correlationid}</code>
        </a>
      </dd>
      <dt>Attempts</dt>
      <dd>{event.attempts}</dd>
      {event.traceparent && (
        <>
          <dt>Trace</dt>
          <dd>
            <TraceId id={event.traceparent.split('-')[1] ?? ''} url={event.trace_url} />
          </dd>
        </>
      )}
    </dl>
  )
}

function TraceId({ id, url }: { id: string; url: string | undefined }) {
  const code = <code>{id}</code>
  return (
    <>
      {url ? (
        <a href={url} rel="noreferrer">
          {code}
        </a>
      ) : (
        code
      )}{' '}
      <Copy text={id} />
    </>
  )
}

function Failure({ failure }: { failure: NonNullable<WholeEvent['failure']> }) {
  const { first, more } = useFirstOf(failure.errors)
  return (
    <div class="problem">
      <strong>{failure.error_class}</strong> in {failure.component}: {failure.message}
      {failure.errors.length > 0 && (
        <ul>
          {first.map(({ pointer, message }, i) => (
            <li key={i}>
              <code>{pointer || 'data'}</code> {message}
            </li>
          ))}
        </ul>
      )}
      {more}
    </div>
  )
}

function DeadIn({ dead }: { dead: NonNullable<WholeEvent['dead_in']>[number] }) {
  const { group, status, error_class, message } = dead
  return (
    <div class="problem">
      Dead letter of the group <a href={href(['groups', group], status === 'open' ? {} : { status })}>{group}</a>
      {status !== 'open' && `, ${status}`}: <strong>{error_class}</strong>: {message}
    </div>
  )
}

export function Timeline({ event }: { event: Pick<WholeEvent, 'timeline'> }) {
  const [start] = event.timeline
  const { first, more } = useFirstOf(event.timeline)
  return (
    <section>
      <h2>Timeline</h2>
      <ol class="timeline">
        {first.map(({ at, what, detail }, i) => {
          const before = event.timeline[i - 1] ?? start!
          const after = (Date.parse(at) - Date.parse(before.at)) / 1_000
          return (
            <li key={i} class={kindOf(what)}>
              <time dateTime={at}>{`${time(at)}.${at.slice(20, 23)}`}</time>
              <span class="after">{i > 0 && `+${duration(Math.max(0, after))}`}</span>
              <span class="what">
                {what}
                {detail && <small>{detail}</small>}
              </span>
            </li>
          )
        })}
      </ol>
      {more}
    </section>
  )
}

function kindOf(what: string): string {
  if (what === 'processed') return 'good'
  if (what.endsWith('failed')) return 'bad'
  return what === 'next attempt is due' ? 'due' : ''
}

/** The events with the same correlation id, as a tree of causes. */
function Related({ event }: { event: WholeEvent }) {
  const { answer } = useGet<Page<ListedEvent>>(
    `v1/events?${new URLSearchParams({ correlation_id: event.correlationid, limit: '200' })}`,
    RELATED_MS,
  )
  const all = [...(answer?.items ?? [])].reverse()
  if (all.length < 2 && !event.causationid) return null
  const unknown = event.causationid !== undefined && !namesOf(all).has(event.causationid)
  const others = href(['events'], { correlation_id: event.correlationid })
  return (
    <section>
      <h2>Causes and effects</h2>
      {unknown && (
        <p>
          Caused by <a href={href(['events', event.causationid!])}>{event.causationid}</a>.
        </p>
      )}
      <Tree branches={treeOf(all)} shown={event.id} others={others} />
      {answer?.next && (
        <p>
          Only the last {count(all.length)} events of this correlation are shown. <a href={others}>Show all</a>
        </p>
      )}
    </section>
  )
}

interface TreeProps {
  branches: readonly Branch<ListedEvent>[]
  /** The id of the event of this page. */
  shown: string
  /** The address of the list with all of them. */
  others: string
}

function Tree({ branches, shown, others }: TreeProps) {
  return (
    <ul class="tree">
      {branches.map(({ event: { id, type, status, accepted_at }, caused, deeper }) => (
        <li key={id}>
          <a href={href(['events', id])} {...(id === shown && { 'aria-current': 'true' })}>
            {type}
          </a>{' '}
          <Badge of={status} /> <small>{time(accepted_at)}</small>
          {caused.length > 0 && <Tree branches={caused} shown={shown} others={others} />}
          {deeper > 0 && (
            <p>
              <a href={others}>and {count(deeper)} more</a>
            </p>
          )}
        </li>
      ))}
    </ul>
  )
}
