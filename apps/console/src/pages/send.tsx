/** A form to write an event, send it and follow it until it is settled. */
import type { Page, WholeEvent } from '@eventflow/client'
import { useEffect, useState } from 'preact/hooks'
import type { EventType, Schema } from '../answers.js'
import { type ApiError, get, post } from '../api.js'
import { shellWord } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same } from '../parts/basics.js'
import { useFirstOf } from '../parts/first-of.js'
import { href } from '../route.js'
import { describeField, draftOf } from '../skeleton.js'
import { useGet } from '../use-get.js'
import { Timeline } from './event.js'

export function SendPage() {
  const { answer: types, error } = useGet<Page<EventType>>('v1/event-types')
  return (
    <>
      <Heading>Send</Heading>
      <Problem error={error} />
      {types?.items.length === 0 && <Nothing>No event types are defined.</Nothing>}
      {types && types.items.length > 0 && <Compose types={types.items} />}
    </>
  )
}

const draft = (type: EventType) => JSON.stringify(type.example ?? draftOf(type.schema), null, 2)

function Compose({ types }: { types: readonly EventType[] }) {
  const [type, setType] = useState(types[0]!)
  const [text, setText] = useState(draft(types[0]!))
  const [key, setKey] = useState('')
  const [correlation, setCorrelation] = useState('')
  const [error, setError] = useState<ApiError>()
  const [sent, setSent] = useState<WholeEvent>()

  let data: unknown
  let mistake = ''
  try {
    data = JSON.parse(text)
  } catch (problem) {
    mistake = (problem as Error).message
  }
  const event = {
    type: type.type,
    ...(key && { partitionkey: key }),
    ...(correlation && { correlationid: correlation }),
    data,
  }

  const choose = (name: string) => {
    const chosen = types.find(({ type }) => type === name)!
    setType(chosen)
    setText(draft(chosen))
  }
  const submit = async (submitted: SubmitEvent) => {
    submitted.preventDefault()
    setError(undefined)
    setSent(undefined)
    try {
      const { id } = await post<{ id: string }>('v1/events', event)
      setSent(await get<WholeEvent>(`v1/events/${id}`))
      setSent(await get<WholeEvent>(`v1/events/${id}`, { wait: '10s' }))
    } catch (problem) {
      setError(problem as ApiError)
    }
  }
  return (
    <>
      <div class="compose">
        <form onSubmit={submit}>
          <label>
            Type
            <select value={type.type} onChange={(e) => choose(e.currentTarget.value)}>
              {types.map(({ type: name }) => (
                <option value={name} key={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          {type.description && <p class="hint">{type.description}</p>}
          <label>
            Data
            <textarea
              rows={12}
              spellcheck={false}
              value={text}
              aria-invalid={mistake !== ''}
              aria-describedby="mistake"
              onInput={(e) => setText(e.currentTarget.value)}
            />
          </label>
          <p id="mistake" class="mistake" aria-live="polite">
            {mistake}
          </p>
          <div class="pair">
            <ShortText label="Key" value={key} set={setKey} placeholder="set by the event type" />
            <ShortText label="Correlation id" value={correlation} set={setCorrelation} placeholder="the event’s id" />
          </div>
          <div class="buttons">
            <button type="submit" class="main" disabled={mistake !== ''}>
              Send
            </button>
          </div>
          <Problem error={error} />
        </form>
        <Fields schema={type.schema} />
      </div>
      {sent && <Sent event={sent} />}
      <Same
        cli={`eventflow send --type ${type.type} --data ${shellWord(mistake ? text : JSON.stringify(data))}`}
        sql={`-- Events can be sent only over HTTP. This reads the last one:\nSELECT status, message, result FROM events WHERE type = '${type.type}' ORDER BY seq DESC LIMIT 1;`}
      />
    </>
  )
}

/** A field for one line of text. */
function ShortText(props: { label: string; value: string; set: (value: string) => void; placeholder: string }) {
  const { label, value, set, placeholder } = props
  return (
    <label>
      {label}
      <input value={value} maxLength={200} onInput={(e) => set(e.currentTarget.value)} placeholder={placeholder} />
    </label>
  )
}

function Fields({ schema }: { schema: Schema }) {
  const required = new Set(schema.required)
  const { first, more } = useFirstOf(Object.entries(schema.properties ?? {}))
  return (
    <section class="fields">
      <h2>Fields</h2>
      <dl>
        {first.map(([name, field]) => (
          <div key={name}>
            <dt>
              <code>{name}</code> {!required.has(name) && <small>optional</small>}
            </dt>
            <dd>
              {describeField(field)}
              {field.description && <small>{field.description}</small>}
            </dd>
          </div>
        ))}
      </dl>
      {more}
    </section>
  )
}

function Sent({ event }: { event: WholeEvent }) {
  const [waited, setWaited] = useState(0)
  const moving = ['accepted', 'retrying'].includes(event.status)
  const { answer = event } = useGet<WholeEvent>(moving ? `v1/events/${event.id}` : '', 1_000)
  useEffect(() => {
    const timer = setInterval(() => setWaited((before) => before + 1), 1_000)
    return () => clearInterval(timer)
  }, [])
  return (
    <section class="sent" role="status">
      <h2>
        <a href={href(['events', answer.id])}>{answer.type}</a> <Badge of={answer.status} />
      </h2>
      {answer.failure && (
        <p>
          {answer.failure.component}: {answer.failure.message}
        </p>
      )}
      {moving && answer.status === 'accepted' && waited > 3 && (
        <p>The event is not settled yet. Is a worker running?</p>
      )}
      <Timeline event={answer} />
    </section>
  )
}
