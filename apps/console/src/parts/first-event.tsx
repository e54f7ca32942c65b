/** The first visit: how to send an event, and a note when it is settled. */
import type { Page, WholeEvent } from '@eventflow/client'
import { useEffect, useState } from 'preact/hooks'
import type { EventType } from '../answers.js'
import { type ApiError, get, post } from '../api.js'
import { duration } from '../format.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'
import { Copy, Problem } from './basics.js'

export function FirstEvent({ empty }: { empty: boolean }) {
  const [seen, setSeen] = useState(empty)
  const [first, setFirst] = useState<WholeEvent>()
  useEffect(() => {
    if (empty) setSeen(true)
    if (empty || !seen || first) return
    const find = async () => {
      const { items } = await get<{ items: { id: string }[] }>('v1/events', { limit: '1' })
      if (items[0]) setFirst(await get<WholeEvent>(`v1/events/${items[0].id}`, { wait: '10s' }))
    }
    find().catch(() => {})
  }, [empty, seen, first])
  if (empty) return <HowTo />
  return first ? <Arrived event={first} /> : null
}

function Arrived({ event }: { event: WholeEvent }) {
  const [accepted, ...later] = event.timeline
  const settled = later.at(-1)
  const took = accepted && settled ? (Date.parse(settled.at) - Date.parse(accepted.at)) / 1_000 : undefined
  return (
    <section class="first arrived" role="status">
      <h2>Your first event is settled.</h2>
      <p>
        A <strong>{event.type}</strong>, {event.status}
        {took !== undefined && ` ${duration(took)} after it was accepted`}.{' '}
        <a href={href(['events', event.id])}>Open the event</a>
      </p>
    </section>
  )
}

function HowTo() {
  const { answer } = useGet<Page<EventType>>('v1/event-types')
  const [error, setError] = useState<ApiError>()
  const example = answer?.items.find((type) => type.example)
  if (!example) return null
  const event = { type: example.type, data: example.example! }
  const line = `curl -s ${location.origin}/v1/events -H 'content-type: application/json' \\\n  -d '${JSON.stringify(event)}'`
  const sendIt = async () => {
    setError(undefined)
    await post('v1/events', event).catch((problem) => setError(problem as ApiError))
  }
  return (
    <section class="first">
      <h2>There are no events yet.</h2>
      <p>Everything is running. Send the first event from a terminal:</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard. */}
      <pre tabIndex={0}>{line}</pre>
      <div class="buttons">
        <button type="button" class="main" onClick={sendIt}>
          Send it from here
        </button>
        <Copy text={line} label="Copy command" />
        <a href={href(['send'])}>Write your own event</a>
      </div>
      <Problem error={error} />
    </section>
  )
}
