/** What an operator can do to failed and blocked events: replay, discard, correct, skip. Each asks for name and reason. */
import type { DeadLetterAction, DeadLetterFilter, Operation, WholeEvent } from '@eventflow/client'
import { useState } from 'preact/hooks'
import { post } from '../api.js'
import type { Form } from '../form.js'
import { count } from '../format.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'
import { AskingButton, Who } from './asking.js'
import { type Asked, DeadLettersButton } from './dead-letters-button.js'
import { VersionChoice } from './version-choice.js'

interface ActionProps {
  filter: DeadLetterFilter
  done: () => void
  label?: string
}

/** `type`: the type of all matching events, if it is only one. A schema version can then be chosen. */
export function ReplayButton({ label = 'Replay', type, ...asked }: ActionProps & { type?: string | undefined }) {
  const fields = (total: number) => (
    <>
      {type && <VersionChoice type={type} />}
      {total > 1 && (
        <label>
          Events per second, at most
          <input name="rate" type="number" min="1" max="10000" defaultValue="100" />
        </label>
      )}
    </>
  )
  const what = 'Replayed events are processed again, in the order in which they were accepted.'
  return <DeadLettersButton {...asked} {...operation('replay')} label={label} what={what} fields={fields} />
}

export function DiscardButton({ label = 'Discard', ...asked }: ActionProps) {
  const what = 'Discarded events are never processed. They stay stored, with your reason.'
  return <DeadLettersButton {...asked} {...operation('discard')} label={label} what={what} />
}

/** Begins an operation, and shows its progress. */
function operation(action: DeadLetterAction) {
  const path = `v1/dead-letters/${action}`
  const act = async ({ form: { text }, order, show, end }: Asked) => {
    const [rate, version] = [Number(text('rate')), Number(text('schema_version'))]
    const how = { ...(rate > 0 && { rate }), ...(version > 0 && { schema_version: version }) }
    show(<Progress started={await post<Operation>(path, { ...order, ...how })} close={end} />)
  }
  return { action, path, act }
}

const LOOK_MS = 500

function Progress({ started, close }: { started: Operation; close: () => void }) {
  const [ended, setEnded] = useState(false)
  const { answer = started } = useGet<Operation>(`v1/operations/${started.id}`, ended ? undefined : LOOK_MS)
  if (answer.status !== 'running' && !ended) setEnded(true)
  return (
    <div>
      <OperationBar operation={answer} />
      <div class="buttons">
        {answer.status === 'running' && (
          <button type="button" onClick={() => post(`v1/operations/${answer.id}/cancel`, {})}>
            Cancel the rest
          </button>
        )}
        <button type="button" class="main" onClick={close}>
          {answer.status === 'running' ? 'Continue in background' : 'Close'}
        </button>
      </div>
    </div>
  )
}

export function OperationBar({ operation: { status, done, total } }: { operation: Operation }) {
  return (
    <div class="operation">
      <progress
        max={Math.max(total, 1)}
        value={status === 'finished' ? Math.max(total, 1) : done}
        aria-label="Progress"
      />
      <span aria-live="polite">
        {status}: {count(done)} of {count(total)}
      </span>
    </div>
  )
}

/** Skips the event that blocks its key. */
export function SkipButton({ id, done, label = 'Skip' }: { id: string; done: () => void; label?: string }) {
  return (
    <AskingButton
      label={label}
      look="danger"
      title="Skip this event"
      sure="Skip event"
      act={({ text }) => post(`v1/waiting/${id}/skip`, { reason: text('reason') })}
      done={done}
    >
      <p>
        The event becomes a dead letter now, without further attempts, and the later events of its key are processed. It
        can be replayed later, but out of order.
      </p>
      <label>
        Reason
        <input name="reason" required maxLength={500} autoComplete="off" />
      </label>
      <Who />
    </AskingButton>
  )
}

/** Sends a corrected copy of a failed event and discards the original, which stays stored unchanged. */
export function SendAgainButton({ event, done }: { event: WholeEvent; done: () => void }) {
  const sendAgain = async ({ text }: Form) => {
    const { id } = await post<{ id: string }>('v1/events', {
      type: event.type,
      source: event.source,
      time: event.time,
      partitionkey: event.partitionkey === event.id ? undefined : event.partitionkey,
      correlationid: event.correlationid,
      causationid: event.id,
      data: JSON.parse(text('data')),
    })
    await post('v1/dead-letters/discard', { filter: { ids: [event.id] }, reason: `corrected as ${id}` })
    location.hash = href(['events', id])
  }
  return (
    <AskingButton label="Correct" title="Send a corrected event" sure="Send event" act={sendAgain} done={done}>
      <p>Sends a new event with this data, caused by the failed one. The failed event is discarded but stays stored.</p>
      <label>
        Data
        <textarea name="data" rows={14} spellcheck={false} defaultValue={JSON.stringify(event.data, null, 2)} />
      </label>
      <Who />
    </AskingButton>
  )
}
